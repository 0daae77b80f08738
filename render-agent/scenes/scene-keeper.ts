/** Brings each app's scene here: manifest, then files, verified by signature and digest; the one before stays until then. */
import type { ManifestClaim } from "#contracts/codec/manifest.ts";
import { MANIFEST_BYTES_MAX, openManifest } from "#contracts/codec/manifest.ts";
import type { Resources } from "#contracts/codec/set-state.ts";
import type { Digest, ReleaseSpec } from "#domain/content/release.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { backoffMs } from "#platform/concurrency/retry.ts";
import { checkSignature, type TrustedKeys } from "#platform/identity/signatures.ts";
import type { Random } from "#platform/random.ts";
import { APP_BYTES_MAX, parseAppSource } from "../apps/app-source.ts";
import { bringScene } from "./scene-bundle.ts";
import type { SceneFolder } from "./scene-folder.ts";
import { appFileOf, type HostedApp, hostedApps } from "./scene-source.ts";

const RETRY = { attemptsMax: 1, baseMs: 500, capMs: 30_000 };
const DOUBLINGS_MAX = 10;
/** Each takes a scene of memory while it is checked. */
export const APPS_MAX = 64;

export interface Scene {
  readonly file: string;
  readonly digest: Digest;
  /** Of a bundle that has one. */
  readonly app?: { readonly file: string; readonly digest: Digest };
  readonly generation: number;
}

/** Gives at most `bytesMax` bytes of a blob. Throws `not-found`, `unavailable`. */
export type FetchBlob = (digest: Digest, bytesMax: number) => Promise<Uint8Array>;

export interface SceneKeeperOptions {
  readonly folder: SceneFolder;
  readonly resources: () => Resources;
  readonly publishKeys: () => TrustedKeys;
  readonly fetchBlob: FetchBlob;
  readonly clock: Clock;
  readonly random: Random;
  readonly onChange: () => void;
  readonly events: {
    sceneReady(app: string, scene: Scene): void;
    sceneDelayed(app: string, failure: Failure): void;
    storageFailed(error: unknown): void;
  };
}

interface Held {
  readonly scene: Scene;
  readonly manifest: Digest;
  /** Of the scene in the release: an operator may name another of the same. */
  readonly path: string;
  readonly sources: readonly Digest[];
}

export class SceneKeeper implements AsyncDisposable {
  readonly #options: SceneKeeperOptions;
  readonly #held = new Map<string, Held>();
  /** Of newest releases, in this round: what has come of one that is not whole is not fetched again. */
  readonly #obtained = new Set<Digest>();
  readonly #stopping = new AbortController();
  #apps: readonly HostedApp[] = [];
  #working: Promise<void> | undefined;
  #isDue = false;
  #attempt = 0;
  #waiting = new AbortController();

  constructor(options: SceneKeeperOptions) {
    this.#options = options;
  }

  /** Of the newest release that is here whole. */
  get(app: string): Scene | undefined {
    return this.#held.get(app)?.scene;
  }

  get apps(): readonly HostedApp[] {
    return this.#apps;
  }

  /** The set has changed, or an edge is there again. */
  update(): void {
    this.#apps = hostedApps(this.#options.resources()).slice(0, APPS_MAX);
    for (const name of this.#held.keys()) {
      if (!this.#apps.some((app) => app.name === name)) this.#held.delete(name);
    }
    this.#isDue = true;
    this.#attempt = 0;
    this.#waiting.abort();
    if (this.#working === undefined) this.#working = this.#work();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Failure("unavailable", "the agent is stopping"));
    this.#waiting.abort();
    await this.#working;
  }

  /** Until every app has its newest scene, with growing waits. */
  async #work(): Promise<void> {
    while (this.#isDue && !this.#stopping.signal.aborted) {
      this.#isDue = false;
      this.#waiting = new AbortController();
      const isComplete = await this.#bringAll();
      this.#options.onChange();
      if (!isComplete && !this.#isDue) await this.#pause();
    }
    this.#working = undefined;
  }

  async #pause(): Promise<void> {
    const { clock, random } = this.#options;
    this.#attempt = Math.min(this.#attempt + 1, DOUBLINGS_MAX);
    const signal = AbortSignal.any([this.#waiting.signal, this.#stopping.signal]);
    await clock.sleep(backoffMs(RETRY, this.#attempt, random), signal).catch(() => undefined);
    this.#isDue = true;
  }

  async #bringAll(): Promise<boolean> {
    let isComplete = true;
    this.#obtained.clear();
    for (const app of this.#apps) {
      if (this.#stopping.signal.aborted) return false;
      const [newest] = app.releases;
      if (newest === undefined || this.#isHeld(app, newest)) continue;
      try {
        await this.#bring(app, newest, this.#options.fetchBlob);
      } catch (error) {
        if (!isFailure(error)) throw error;
        this.#options.events.sceneDelayed(app.name, error);
        isComplete = false;
        await this.#bringFromDisk(app);
      }
    }
    if (!this.#stopping.signal.aborted) await this.#collect();
    return isComplete;
  }

  #isHeld({ name, spec }: HostedApp, { manifest }: ReleaseSpec): boolean {
    const held = this.#held.get(name);
    return held?.manifest === manifest.digest && held.path === spec.bundle.path;
  }

  /** While nothing newer can be had: what was here before a restart. */
  async #bringFromDisk(app: HostedApp): Promise<void> {
    if (this.#held.has(app.name)) return;
    for (const release of app.releases) {
      const isHere = await this.#bring(app, release, absent).then(
        () => true,
        (error: unknown) => {
          if (!isFailure(error)) throw error;
          return false;
        },
      );
      if (isHere) return;
    }
  }

  async #bring(app: HostedApp, release: ReleaseSpec, fetchBlob: FetchBlob): Promise<void> {
    const { folder, events } = this.#options;
    const manifest = await this.#openManifest(release, fetchBlob);
    const obtain = (wanted: Digest, bytesMax: number) => this.#obtain(wanted, bytesMax, fetchBlob);
    const { digest, sources } = await bringScene({ app, manifest, folder, obtain });
    const program = await this.#bringProgram(appFileOf(app, manifest)?.digest, fetchBlob);
    const scene = { file: folder.pathOf(digest), digest, generation: release.generation, ...program };
    this.#held.set(app.name, { scene, manifest: release.manifest.digest, path: app.spec.bundle.path, sources });
    events.sceneReady(app.name, scene);
  }

  async #bringProgram(digest: Digest | undefined, fetchBlob: FetchBlob): Promise<Pick<Scene, "app">> {
    if (digest === undefined) return {};
    parseAppSource(await this.#obtain(digest, APP_BYTES_MAX, fetchBlob));
    return { app: { file: this.#options.folder.pathOf(digest), digest } };
  }

  async #openManifest(release: ManifestClaim, fetchBlob: FetchBlob) {
    const { publishKeys } = this.#options;
    const bytes = await this.#obtain(release.manifest.digest, MANIFEST_BYTES_MAX, fetchBlob);
    return openManifest(bytes, release, (signed) => checkSignature(signed, publishKeys()));
  }

  async #obtain(digest: Digest, bytesMax: number, fetchBlob: FetchBlob): Promise<Uint8Array> {
    const { folder } = this.#options;
    const here = await folder.read(digest);
    const bytes = here ?? (await fetchBlob(digest, bytesMax));
    if (here === undefined) await folder.write(digest, bytes);
    if (fetchBlob !== absent) this.#obtained.add(digest);
    return bytes;
  }

  /** What could not be removed is at the next change. */
  async #collect(): Promise<void> {
    const { folder, events } = this.#options;
    const held = [...this.#held.values()];
    const needed = held.flatMap(({ scene, manifest, sources }) => [...digestsOf(scene, manifest), ...sources]);
    await folder.collect(new Set([...needed, ...this.#obtained])).catch((error: unknown) => {
      if (!isFailure(error)) throw error;
      events.storageFailed(error);
    });
  }
}

function digestsOf({ digest, app }: Scene, manifest: Digest): readonly Digest[] {
  return app === undefined ? [digest, manifest] : [digest, manifest, app.digest];
}

async function absent(digest: Digest): Promise<Uint8Array> {
  throw new Failure("not-found", `blob ${digest} is not here`);
}
