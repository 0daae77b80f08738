/** Chromium with the benchmark's page: sessions are opened, watched and left in it, and its records come back checked. */
import { join } from "node:path";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import Type, { type Static, type TSchema } from "typebox";
import { Value } from "typebox/value";
import { launchChromium, type RunningChromium } from "#test/chromium/chromium.ts";
import {
  pictureSchema,
  type ShownPicture,
  type StartRecord,
  startSchema,
  type WindowRecord,
  windowSchema,
} from "./records.ts";

const FIRST_FRAME_MS_MAX = 30_000;
const POLL_MS = 20;
/** Chromium makes no smaller window. */
const WINDOW_PIXELS_MIN = 100;

export async function bundlePage(folder: string): Promise<void> {
  await build({
    entryPoints: [join(import.meta.dirname, "page", "page.ts")],
    outfile: join(folder, "page.js"),
    ...{ bundle: true, format: "esm", target: "es2022", minify: true, logLevel: "silent" },
  });
}

/** As small as the stream: compositing without a GPU is paid for by the pixel. */
export function launchViewer(
  eye: { readonly widthPixels: number; readonly heightPixels: number },
  driverFile: string | undefined,
) {
  return launchChromium({
    driverFile,
    width: Math.max(WINDOW_PIXELS_MIN, eye.widthPixels),
    height: Math.max(WINDOW_PIXELS_MIN, eye.heightPixels),
  });
}

export interface SessionWish {
  readonly apiUrl: string;
  readonly app: string;
}

export class ViewerPage implements AsyncDisposable {
  readonly #page: Page;
  readonly #errors: string[] = [];

  private constructor(page: Page) {
    this.#page = page;
    page.on("pageerror", (error) => this.#errors.push(String(error)));
  }

  static async open({ context }: RunningChromium, url: string): Promise<ViewerPage> {
    const page = await context.newPage();
    const viewer = new ViewerPage(page);
    await page.goto(url);
    await page.waitForFunction("window.bench !== undefined");
    return viewer;
  }

  /** Gives the session's number in this page. */
  open({ apiUrl, app }: SessionWish): Promise<number> {
    const config = { scheduler: apiUrl, app, appToken: "app-token", tier: "strict", site: undefined };
    return this.#evaluate(Type.Integer(), `bench.open(${JSON.stringify(config)})`);
  }

  /** Waits for the first picture, or until `isRefused` says that none will come: then `undefined`. */
  async started(session: number, isRefused: () => boolean): Promise<StartRecord | undefined> {
    const untilMs = performance.now() + FIRST_FRAME_MS_MAX;
    while (!isRefused()) {
      const start = await this.#page.evaluate(`bench.startOf(${session})`);
      if (start !== undefined) return Value.Parse(startSchema, start);
      if (performance.now() > untilMs)
        throw new Error(`no picture within ${FIRST_FRAME_MS_MAX} ms: ${await this.state(session)}`);
      await this.#page.waitForTimeout(POLL_MS);
    }
    return undefined;
  }

  async state(session: number): Promise<string> {
    return JSON.stringify([await this.#page.evaluate(`bench.state(${session})`), this.#errors]);
  }

  /** Records of all sessions, from now on for so long. */
  async watch(sessions: readonly number[], seconds: number): Promise<readonly WindowRecord[]> {
    await this.#page.evaluate("bench.begin()");
    await this.#page.waitForTimeout(seconds * 1000);
    const schema = Type.Array(windowSchema);
    const records = await this.#evaluate(schema, `${JSON.stringify(sessions)}.map((index) => bench.take(index))`);
    if (this.#errors.length > 0) throw new Error(`the page threw: ${this.#errors.join("; ")}`);
    return records;
  }

  /** What the canvas shows in the next frames. */
  async pictures(session: number, count: number): Promise<readonly ShownPicture[]> {
    await this.#page.evaluate(`bench.wantPictures(${session}, ${count})`);
    await this.#page.waitForFunction(`bench.pictures(${session}).length >= ${count}`);
    return this.#evaluate(Type.Array(pictureSchema), `bench.pictures(${session})`);
  }

  async leave(session: number): Promise<void> {
    await this.#page.evaluate(`bench.leave(${session})`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#page.close();
  }

  async #evaluate<S extends TSchema>(schema: S, script: string): Promise<Static<S>> {
    return Value.Parse(schema, await this.#page.evaluate(script));
  }
}
