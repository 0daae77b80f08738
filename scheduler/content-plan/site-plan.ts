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
  #planned: { readonly holders: SiteHolders; readonly of: string; readonly atMs: number } | undefined;

  constructor(ports: SitePlanPorts) {
    this.#ports = ports;
  }

  /** Begins again with what is assigned: another replica may have planned since. */
  reset(): void {
    this.#assigned = new Map();
    this.#planned = undefined;
    this.#reports = undefined;
  }

  turn(): SiteHolders {
    const { clock, demand, fleet } = this.#ports;
    const nowMs = clock.monotonicMs();
    const { limited, pools } = limitSites(fleet.view, this.#readReports(nowMs));
    const of = JSON.stringify([pools, limited]);
    const current = limited.map((site) => ({
      ...site,
      held: this.#assigned.get(site.site) ?? heldIn(fleet.view, site.site),
    }));
    if (this.#planned?.of !== of || nowMs - this.#planned.atMs >= SITE_PLAN_MS) {
      this.#planned = { holders: planSiteHolders(pools, current, demand), of, atMs: nowMs };
    }
    this.#fills.retain(fleet.view.pools);
    this.#assigned = this.#step(current, this.#planned.holders, nowMs);
    return this.#assigned;
  }

  #step(limited: readonly LimitedSite[], holders: SiteHolders, nowMs: number): SiteHolders {
    const { fleet } = this.#ports;
    const whole = new Map<string, ReadonlySet<string>>();
    const wholeIn = (pool: string) => {
      const sites = whole.get(pool) ?? wholeSites(fleet.findPool(pool));
      whole.set(pool, sites);
      return sites;
    };
    return new Map(
      limited.map(({ site, sizeBytes, permitted, held }) => {
        const wanted = holders.get(site) ?? held;
        const isForbidden = (pool: string) => !permitted.includes(pool);
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
  const sites = [...view.sites].flatMap(([site, spec]) => {
    const rules = contentRulesOf(view.contentPolicies, site);
    if (spec.publish === undefined || rules.prefetch === "none") return [];
    const permitted = permittedPools(view, rules);
    const copies = Math.min(permitted.length, rules.replicas ?? permitted.length);
    return [{ site, sizeBytes: sizes.get(site) ?? 1, permitted, copies }];
  });
  sites.sort((a, b) => (a.site < b.site ? -1 : 1));
  const roomOf = (pool: string) => rooms.get(pool) ?? Number.POSITIVE_INFINITY;
  const everywhere = bytesByPool(sites.filter(({ permitted, copies }) => copies === permitted.length));
  const isFull = (pool: string) => (everywhere.get(pool) ?? 0) > roomOf(pool);
  const isLimited = ({ permitted, copies }: PlacedSite) => copies < permitted.length || permitted.some(isFull);
  const others = bytesByPool(sites.filter((site) => !isLimited(site)));
  const pools = [...view.pools].map(([pool, { spec }]): PlannedPool => {
    return { pool, coordinates: spec.coordinates, roomBytes: roomOf(pool) - (others.get(pool) ?? 0) };
  });
  return { limited: sites.filter(isLimited), pools: pools.sort((a, b) => (a.pool < b.pool ? -1 : 1)) };
}

function bytesByPool(sites: readonly PlacedSite[]): ReadonlyMap<string, number> {
  const bytes = new Map<string, number>();
  for (const { permitted, sizeBytes } of sites) {
    for (const pool of permitted) bytes.set(pool, (bytes.get(pool) ?? 0) + sizeBytes);
  }
  return bytes;
}

function heldIn({ assignments }: DesiredView, site: string): ReadonlySet<string> {
  return new Set([...assignments].flatMap(([pool, { spec }]) => (spec.sites.includes(site) ? [pool] : [])));
}
