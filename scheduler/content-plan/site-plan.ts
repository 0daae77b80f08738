/** Keeps the plan of the sites that not all pools hold, and takes what is assigned towards it as links permit. */
import { FillWindow, nextHolders } from "#domain/content/fill-window.ts";
import type { Clock } from "#platform/clock.ts";
import type { DesiredView } from "../facts/desired-view.ts";
import type { FleetPool } from "../facts/fleet.ts";
import { contentRulesOf, permittedPools } from "./assignments.ts";
import { releaseSizes, storeRooms, wholeSites } from "./pool-contents.ts";
import { type KnownDemand, type LimitedSite, type PlannedPool, planSiteHolders } from "./site-holders.ts";

/** Demand is that of days. A policy, a pool or a release that changes is planned for at once. */
export const SITE_PLAN_MS = 60_000;
/** Reports of 10,000 edges are not read at every turn. */
const REPORTS_MS = 10_000;
/** Values worked out in a turn: 15 to 50 ms mostly. A plan of more goes on at the next turn. */
const VALUES_PER_TURN = 20_000;
/** What a step costs beside the values that it works out. */
const STEP_VALUES = 32;
/** 100 Mbit/s, and a gibibyte at once: what the plan moves leaves a pool's link to its users. */
export const FILL_BUDGET = { bytesPerSecond: 12_500_000, burstBytes: 1024 ** 3 };

/** By site; a site that is not named is held wherever its policies permit. */
export type SiteHolders = ReadonlyMap<string, ReadonlySet<string>>;

export interface SitePlanPorts {
  readonly clock: Clock;
  readonly demand: KnownDemand;
  readonly fleet: {
    readonly view: DesiredView;
    listPools(): readonly FleetPool[];
    findPool(pool: string): FleetPool | undefined;
  };
}

type PlacedSite = Omit<LimitedSite, "held">;

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
  readonly #fills = new FillWindow(FILL_BUDGET);
  #assigned: SiteHolders = new Map();
  #reports: Reports | undefined;
  #planned: (Begun & { readonly holders: SiteHolders }) | undefined;
  #planning: (Begun & { readonly steps: ReturnType<typeof planSiteHolders> }) | undefined;

  constructor(ports: SitePlanPorts) {
    this.#ports = ports;
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
    const current = limited.map((site) => {
      return { ...site, held: this.#assigned.get(site.site) ?? held.get(site.site) ?? new Set<string>() };
    });
    this.#plan(pools, current, { of, nowMs });
    this.#fills.retain(fleet.view.pools);
    this.#assigned = this.#step(current, nowMs);
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

  #step(limited: readonly LimitedSite[], nowMs: number): SiteHolders {
    const { fleet } = this.#ports;
    const whole = new Map<string, ReadonlySet<string>>();
    const wholeIn = (pool: string) => {
      const sites = whole.get(pool) ?? wholeSites(fleet.findPool(pool));
      whole.set(pool, sites);
      return sites;
    };
    return new Map(
      limited.map(({ site, sizeBytes, permitted, held }) => {
        const may = new Set(permitted);
        const isForbidden = (pool: string) => !may.has(pool);
        const wanted = new Set([...(this.#planned?.holders.get(site) ?? held)].filter((pool) => may.has(pool)));
        const isServed = (pool: string) => wholeIn(pool).has(site);
        const admit = (pool: string) => this.#fills.admit(pool, sizeBytes, nowMs);
        return [site, nextHolders({ held, wanted, isForbidden, isServed }, admit)];
      }),
    );
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
    if (spec.publish === undefined || rules.prefetch === "none") return [];
    const residency = JSON.stringify(rules.residency);
    const permitted = permittedBy.get(residency) ?? permittedPools(view, rules);
    permittedBy.set(residency, permitted);
    const copies = Math.min(permitted.length, rules.replicas ?? permitted.length);
    return [{ site, sizeBytes: sizes.get(site) ?? 1, permitted, copies, residency }];
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
