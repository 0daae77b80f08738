/** A bundled folder served by stub services to a page in a real browser; all of it ends with the test. */
import { rm } from "node:fs/promises";
import type { Page } from "playwright-core";
import type { Test } from "tap";
import { launchChromium } from "#test/chromium/chromium.ts";
import type { TestAgent } from "./agents.ts";
import { type StubServices, startStubServices } from "./stub-services.ts";

export interface PageWorldOptions {
  /** Removed at the end. */
  readonly folder: string;
  readonly webrtc: readonly TestAgent[];
  /** The first of the others where it is not given. */
  readonly websocket?: TestAgent;
  readonly height: number;
  readonly waitMs: number;
}

export interface PageWorld {
  readonly services: StubServices;
  readonly browser: Awaited<ReturnType<typeof launchChromium>>;
  readonly page: Page;
  /** What the page threw. */
  readonly errors: readonly string[];
}

/** The page is not opened yet: scripts may be added before. */
export async function openPageWorld(t: Pick<Test, "teardown">, options: PageWorldOptions): Promise<PageWorld> {
  const { folder, webrtc, height, waitMs } = options;
  const websocket = options.websocket ?? webrtc[0];
  if (websocket === undefined) throw new Error("a page needs an agent");
  const services = await startStubServices(folder, { webrtc, websocket });
  const browser = await launchChromium({ width: 420, height });
  t.teardown(async () => {
    await browser[Symbol.asyncDispose]();
    await services[Symbol.asyncDispose]();
    for (const { session } of new Set([...webrtc, websocket])) session.stop("test over");
    await rm(folder, { recursive: true });
  });
  const errors: string[] = [];
  const page = await browser.context.newPage();
  page.setDefaultTimeout(waitMs);
  page.on("pageerror", (error) => errors.push(String(error)));
  return { services, browser, page, errors };
}
