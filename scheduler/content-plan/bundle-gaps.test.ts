import t from "tap";
import { FILL_BYTES_PER_SECOND_DEFAULT } from "#domain/content/fill-window.ts";
import { MISSING_BUNDLE_MS_MAX } from "#domain/content/missing-bundle.ts";
import type { NodeState, SiteStatus } from "#domain/fleet/node.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import type { FleetPool } from "../facts/fleet.ts";
import { BundleGaps } from "./bundle-gaps.ts";

/** Two seconds of filling. */
const RELEASE_BYTES = 2 * FILL_BYTES_PER_SECOND_DEFAULT;

interface Reported {
  readonly state?: NodeState;
  readonly sites?: readonly SiteStatus[] | undefined;
}

function scene(changes: Partial<SiteStatus> = {}): SiteStatus {
  const whole = { activeGeneration: 1, desiredGeneration: 1, objectsMissing: 0, releaseBytes: RELEASE_BYTES };
  return { site: "scenes", ...whole, ...changes };
}

function poolOf(pool: string, reported: readonly Reported[]): FleetPool {
  return {
    ...{ pool, labels: {}, coordinates: { latitude: 0, longitude: 0 }, priceMs: 0, excludedAgents: new Set() },
    edges: reported.map(({ state = "connected", sites }, at) => ({
      ...{ node: `${pool}${at}`, pool, hostname: `${pool}${at}.test`, contentUrl: `http://${pool}${at}.test`, state },
      ...{ isHeard: true, cordoned: false, draining: false, storeBytesMax: 0, sites },
    })),
  };
}

function fleetOf(pools: readonly FleetPool[]) {
  return { listPools: () => pools, findPool: (name: string) => pools.find(({ pool }) => pool === name) };
}

/** Beside a pool that has the scene. */
function missingMs(reported: readonly Reported[]): number {
  const pools = [poolOf("whole", [{ sites: [scene()] }]), poolOf("asked", reported)];
  return new BundleGaps({ clock: new VirtualClock(), fleet: fleetOf(pools) }).missingMs("asked", "scenes");
}

t.test("a pool lacks a scene unless an edge that lives has it, or has one to render from until then", async (t) => {
  const missing = scene({ objectsMissing: 3 });
  t.equal(missingMs([{ sites: [missing] }]), 8, "two seconds at 4 ms each");
  t.equal(missingMs([{ sites: [] }]), 8, "it has not heard of the site");
  t.equal(missingMs([{ sites: [scene({ activeGeneration: 0 })] }]), 8, "whole, and not served yet");
  t.equal(missingMs([{ sites: [missing] }, { sites: [scene()] }]), 0, "a sibling has it");
  t.equal(missingMs([{ sites: [missing] }, { sites: [scene()], state: "dead" }]), 8, "a dead one has nothing");
  t.equal(missingMs([{ sites: [scene({ desiredGeneration: 2, objectsMissing: 3 })] }]), 0, "the earlier one");
});

t.test("a pool that is cut off fetches nothing; of one that never reported nothing is said", async (t) => {
  t.equal(missingMs([{ sites: [], state: "cut-off" }]), MISSING_BUNDLE_MS_MAX);
  t.equal(missingMs([{ sites: undefined }]), 0);
  t.equal(missingMs([{ sites: [], state: "dead" }]), 0, "no edge to speak of");
});

t.test("sizes of releases are read from all reports again after ten seconds", async (t) => {
  const clock = new VirtualClock();
  const pools = [poolOf("asked", [{ sites: [] }])];
  const gaps = new BundleGaps({ clock, fleet: fleetOf(pools) });
  t.equal(gaps.missingMs("asked", "scenes"), 0, "nobody has told how large it is");
  pools.push(poolOf("whole", [{ sites: [scene()] }]));
  t.equal(gaps.missingMs("asked", "scenes"), 0);
  await clock.advance(10_000);
  t.equal(gaps.missingMs("asked", "scenes"), 8);
  t.equal(gaps.missingMs("asked", "other"), 0);
  t.equal(gaps.missingMs("unknown", "scenes"), 0);
});
