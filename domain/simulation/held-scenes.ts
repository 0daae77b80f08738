/**
 * Which scene bundles pools hold in a simulated day, and what they fetch for whom they are given: each bundle once while
 * it is held. One that nobody renders from makes room where there is none, the one used longest ago first. Pure.
 */
import { assert } from "../assert.ts";
import type { DayApp, DayPool } from "./day.ts";

interface Scene {
  readonly site: string;
  readonly bytes: number;
}

interface Held {
  /** Running sessions by site, the one used longest ago first. */
  readonly sessions: Map<string, number>;
  bytes: number;
  readonly roomBytes: number;
}

export class HeldScenes {
  /** In the order of the day's apps; undefined where the bundle's size is not known. */
  readonly #scenes: readonly (Scene | undefined)[];
  readonly #bytesOf: ReadonlyMap<string, number>;
  readonly #pools: readonly Held[];
  #fetchedBytes = 0;

  /** `pools` in the order of the tables. */
  constructor(pools: readonly DayPool[], apps: readonly DayApp[]) {
    this.#scenes = apps.map(({ bundle }) =>
      bundle?.bytes === undefined ? undefined : { site: bundle.site, bytes: bundle.bytes },
    );
    const known = this.#scenes.flatMap((scene) => scene ?? []);
    this.#bytesOf = new Map(known.map(({ site, bytes }) => [site, bytes]));
    this.#pools = pools.map(({ scenes }): Held => {
      const sessions = new Map(
        (scenes?.sites ?? []).filter((site) => this.#bytesOf.has(site)).map((site) => [site, 0]),
      );
      const bytes = [...sessions.keys()].reduce((sum, site) => sum + (this.#bytesOf.get(site) ?? 0), 0);
      return { sessions, bytes, roomBytes: scenes?.roomBytes ?? Number.POSITIVE_INFINITY };
    });
  }

  /** By all pools since the beginning. */
  get fetchedBytes(): number {
    return this.#fetchedBytes;
  }

  /** A session of the app begins in the pool, or ends. */
  change(app: number, poolAt: number, by: 1 | -1): void {
    const scene = this.#scenes[app];
    const pool = this.#pools[poolAt];
    if (scene === undefined || pool === undefined) return;
    const running = pool.sessions.get(scene.site);
    assert(by === 1 || (running !== undefined && running > 0), "who leaves had come");
    if (running === undefined) this.#fetch(scene, pool);
    pool.sessions.delete(scene.site);
    pool.sessions.set(scene.site, (running ?? 0) + by);
  }

  #fetch({ bytes }: Scene, pool: Held): void {
    this.#fetchedBytes += bytes;
    pool.bytes += bytes;
    for (const [site, running] of pool.sessions) {
      if (pool.bytes <= pool.roomBytes) return;
      if (running > 0) continue;
      pool.sessions.delete(site);
      pool.bytes -= this.#bytesOf.get(site) ?? 0;
    }
  }
}
