/** Keeps the plan of the sites that not all pools hold, and takes what is assigned towards it as links permit. */
import { contentRulesOf } from "#domain/policy/content-rules.ts";
import type { Clock } from "#platform/clock.ts";
import type { DesiredView } from "../facts/desired-view.ts";
import type { FleetPool } from "../facts/fleet.ts";
import { permittedPools } from "./assignments.ts";
import { type FillStanding, PlannedFills, type SiteHolders, type SteppedSite } from "./planned-fills.ts";
import { releaseSizes, storeRooms } from "./pool-contents.ts";
import { type KnownDemand, type LimitedSite, type PlannedPool, planSiteHolders } from "./site-holders.ts";

/** Demand is that of days. A policy, a pool or a release that changes is planned for at once. */
export const SITE_PLAN_MS = 60_000;
/** Reports of 10,000 edges are not read at every turn. */
const REPORTS_MS = 10_000;
/** Values worked out in a turn: 15 to 50 ms mostly. A plan of more goes on at the next turn. */
const VALUES_PER_TURN = 20_000;
/** What a step costs beside the values that it works out. */
const STEP_VALUES = 32;
export interface SitePlanPorts {
  readonly clock: Clock;
  readonly demand: KnownDemand;
  readonly fleet: {
    readonly view: DesiredView;
    listPools(): readonly FleetPool[];
    findPool(pool: string): FleetPool | undefined;
  };
}

type CurrentSite = LimitedSite & SteppedSite;
type PlacedSite = Omit<CurrentSite, "held">;

interface Begun {
  /** What the plan is of, but for the demand. */
  readonly of: string;
  readonly atMs: number;
}

interface Reports {
  readonly sizes: ReadonlyMap<string, number>;
  readonly rooms: ReadonlyMap<string, number>;
  readonly atMs: number;
}

export class SitePlan {
  readonly #ports: SitePlanPorts;
  readonly #fills: PlannedFills;
  #assigned: SiteHolders = new Map();
  #reports: Reports | undefined;
  #planned: (Begun & { readonly holders: SiteHolders }) | undefined;
  #planning: (Begun & { readonly steps: ReturnType<typeof planSiteHolders> }) | undefined;

  constructor(ports: SitePlanPorts) {
    this.#ports = ports;
    this.#fills = new PlannedFills(ports);
  }

  /** As of the last turn. */
  get fills(): FillStanding {
    return this.#fills.standing;
  }

  /** Begins again with what is assigned: another replica may have planned since. */
  reset(): void {
    this.#assigned = new Map();
    this.#reports = undefined;
    this.#planned = undefined;
    this.#planning = undefined;
  }

  /** Does a bounded part of a plan: what was planned last counts until the next plan is done. */
  turn(): SiteHolders {
    const { clock, fleet } = this.#ports;
    const nowMs = clock.monotonicMs();
    const { limited, pools, of } = limitSites(fleet.view, this.#readReports(nowMs));
    const held = limited.every(({ site }) => this.#assigned.has(site)) ? this.#assigned : heldIn(fleet.view);
    const current = limited.map((site): CurrentSite => {
      return { ...site, held: this.#assigned.get(site.site) ?? held.get(site.site) ?? new Set<string>() };
    });
    this.#plan(pools, current, { of, nowMs });
    this.#assigned = this.#fills.step(current, this.#planned?.holders);
    return this.#assigned;
  }

  /** A plan that is under way is finished, though what it is of may have changed: the next one follows. */
  #plan(
    pools: readonly PlannedPool[],
    limited: readonly LimitedSite[],
    { of, nowMs }: { of: string; nowMs: number },
  ): void {
    const isDue = this.#planned?.of !== of || nowMs - this.#planned.atMs >= SITE_PLAN_MS;
    if (this.#planning === undefined && isDue) {
      this.#planning = { steps: planSiteHolders(pools, limited, this.#ports.demand), of, atMs: nowMs };
    }
    if (this.#planning === undefined) return;
    const { steps, ...planning } = this.#planning;
    for (let worked = 0; worked < VALUES_PER_TURN; ) {
      const step = steps.next();
      if (step.done === true) {
        this.#planned = { holders: step.value, ...planning };
        this.#planning = undefined;
        return;
      }
      worked += step.value + STEP_VALUES;
    }
  }

  #readReports(nowMs: number): Reports {
    if (this.#reports === undefined || nowMs - this.#reports.atMs >= REPORTS_MS) {
      const pools = this.#ports.fleet.listPools();
      this.#reports = { sizes: releaseSizes(pools), rooms: storeRooms(pools), atMs: nowMs };
    }
    return this.#reports;
  }
}

/** Those with fewer replicas than pools, and those of pools that have no room for all that they may hold. */
function limitSites(view: DesiredView, { sizes, rooms }: Reports) {
  const permittedBy = new Map<string, readonly string[]>();
  const sites = [...view.sites].flatMap(([site, spec]) => {
    const rules = contentRulesOf(view.contentPolicies, site);
    if (spec.publish === undefined || rules.isNever) return [];
    const residency = JSON.stringify(rules.residency);
    const permitted = permittedBy.get(residency) ?? permittedPools(view, rules);
    permittedBy.set(residency, permitted);
    const copies = Math.min(permitted.length, rules.replicas ?? permitted.length);
    return [{ site, sizeBytes: sizes.get(site) ?? 1, permitted, copies, residency, rules }];
  });
  sites.sort((a, b) => (a.site < b.site ? -1 : 1));
  const roomOf = (pool: string) => rooms.get(pool) ?? Number.POSITIVE_INFINITY;
  const everywhere = bytesByPool(sites.filter(({ permitted, copies }) => copies === permitted.length));
  const full = new Set([...everywhere].flatMap(([pool, bytes]) => (bytes > roomOf(pool) ? [pool] : [])));
  const isLimited = ({ permitted, copies }: PlacedSite) =>
    copies < permitted.length || (full.size > 0 && permitted.some((pool) => full.has(pool)));
  const limited = sites.filter(isLimited);
  const others = bytesByPool(sites.filter((site) => !isLimited(site)));
  const pools = [...view.pools].map(([pool, { spec }]): PlannedPool => {
    return { pool, coordinates: spec.coordinates, roomBytes: roomOf(pool) - (others.get(pool) ?? 0) };
  });
  pools.sort((a, b) => (a.pool < b.pool ? -1 : 1));
  const asLimited = limited.map(({ site, sizeBytes, copies, residency }) => [site, sizeBytes, copies, residency]);
  return { limited, pools, of: JSON.stringify([pools, [...permittedBy.values()], asLimited]) };
}

function bytesByPool(sites: readonly PlacedSite[]): ReadonlyMap<string, number> {
  const bytes = new Map<string, number>();
  for (const { permitted, sizeBytes } of sites) {
    for (const pool of permitted) bytes.set(pool, (bytes.get(pool) ?? 0) + sizeBytes);
  }
  return bytes;
}

function heldIn({ assignments }: DesiredView): SiteHolders {
  const held = new Map<string, Set<string>>();
  for (const [pool, { spec }] of assignments) {
    for (const site of spec.sites) {
      const pools = held.get(site) ?? new Set();
      held.set(site, pools.add(pool));
    }
  }
  return held;
}
