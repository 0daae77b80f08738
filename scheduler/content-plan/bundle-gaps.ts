/** What it counts against a pool that it lacks an app's scene, by what its edges last reported of the scene's site. */
import { FILL_BYTES_PER_SECOND_DEFAULT } from "#domain/content/fill-window.ts";
import { missingBundleMs } from "#domain/content/missing-bundle.ts";
import type { Clock } from "#platform/clock.ts";
import type { FleetPool } from "../facts/fleet.ts";
import { missingBytesIn, releaseSizes } from "./pool-contents.ts";

/** Reports of 10,000 edges are not read for every session: a release's size is that of its generation. */
const SIZES_MS = 10_000;

export interface BundleGapPorts {
  readonly clock: Clock;
  readonly fleet: {
    listPools(): readonly FleetPool[];
    findPool(pool: string): FleetPool | undefined;
  };
}

export class BundleGaps {
  readonly #ports: BundleGapPorts;
  #sizes: { readonly bySite: ReadonlyMap<string, number>; readonly atMs: number } | undefined;

  constructor(ports: BundleGapPorts) {
    this.#ports = ports;
  }

  /** 0 where the size of the release is known of no edge. O(edges of the pool), but once in ten seconds all edges. */
  missingMs(pool: string, site: string): number {
    const facts = this.#ports.fleet.findPool(pool);
    const releaseBytes = this.#sizeOf(site);
    if (facts === undefined || releaseBytes === 0) return 0;
    const isFilled = facts.edges.some(({ state }) => state === "connected");
    const fillBytesPerSecond = isFilled ? FILL_BYTES_PER_SECOND_DEFAULT : 0;
    return missingBundleMs({ missingBytes: missingBytesIn(facts, site, releaseBytes), fillBytesPerSecond });
  }

  #sizeOf(site: string): number {
    const { clock, fleet } = this.#ports;
    const nowMs = clock.monotonicMs();
    if (this.#sizes === undefined || nowMs - this.#sizes.atMs >= SIZES_MS) {
      this.#sizes = { bySite: releaseSizes(fleet.listPools()), atMs: nowMs };
    }
    return this.#sizes.bySite.get(site) ?? 0;
  }
}
