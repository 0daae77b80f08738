/** Counts what a simulated day came to, in columns; a summary is made once at its end. Pure. */
import { TIERS, type Tier } from "../policy/placement-policy.ts";
import type { Day } from "./day.ts";

/** Round trips are counted to this, and beyond the last one as it. */
const BIN_MS = 0.25;
const BINS = 4000;
const HOUR_SECONDS = 3600;

export interface ShareRow {
  readonly app: string;
  readonly region: string;
  readonly tier: Tier;
  readonly sessions: number;
  readonly withinLimit: number;
  /** Told no, or to wait. */
  readonly turnedAway: number;
}

export interface GroupRow {
  readonly group: string;
  readonly sessions: number;
  readonly withinLimit: number;
  readonly turnedAway: number;
  /** Of those that got a slot; `NaN` where none did. */
  readonly rttMsMean: number;
}

export interface PoolRow {
  readonly pool: string;
  readonly sessions: number;
  readonly slotHours: number;
}

export interface DaySummary {
  readonly sessions: number;
  readonly withinLimit: number;
  /** Got a slot beyond the limit, or of a later render class. */
  readonly degraded: number;
  readonly queued: number;
  readonly refused: number;
  /** Of those that got a slot; `NaN` where none did. */
  readonly rttMsMean: number;
  readonly rttMsP95: number;
  /** Hours of sessions that were within their limit. */
  readonly hoursWithinLimit: number;
  readonly shares: readonly ShareRow[];
  /** One for each name of groups, in the day's order. */
  readonly groups: readonly GroupRow[];
  readonly pools: readonly PoolRow[];
  /** Sessions by the policy that applied; those of none are under the empty name. */
  readonly policies: ReadonlyMap<string, number>;
  /** Of scene bundles, fetched by pools for who was placed there, from the filling before the day on. */
  readonly fillBytes: number;
  /** Of the slots used, where every pool that was used says what one costs; undefined otherwise. */
  readonly cost: number | undefined;
}

export interface Arrived {
  readonly group: number;
  readonly app: number;
  readonly tier: number;
}

export interface Placed {
  readonly pool: number;
  readonly rttMs: number;
  readonly isWithinLimit: boolean;
  readonly isDegraded: boolean;
  readonly seconds: number;
}

export class Tally {
  readonly #day: Day;
  readonly #regions: readonly string[];
  readonly #regionOf: Uint16Array;
  readonly #names: readonly string[];
  /** Of a group, the place of its name. */
  readonly #nameOf: Uint32Array;
  /** By app, tier and region. */
  readonly #cells: { readonly sessions: Uint32Array; readonly within: Uint32Array; readonly away: Uint32Array };
  readonly #groups: {
    readonly sessions: Uint32Array;
    readonly within: Uint32Array;
    readonly away: Uint32Array;
    readonly rttMs: Float64Array;
  };
  readonly #bins = new Uint32Array(BINS);
  readonly #poolSessions: Uint32Array;
  readonly #poolSeconds: Float64Array;
  readonly #policies = new Map<string, number>();
  #degraded = 0;
  #queued = 0;
  #refused = 0;
  #secondsWithin = 0;

  constructor(day: Day, pools: number) {
    const { groups, apps } = day;
    this.#day = day;
    this.#regions = [...new Set(groups.map(({ region }) => region))];
    this.#regionOf = Uint16Array.from(groups, ({ region }) => this.#regions.indexOf(region));
    const places = new Map([...new Set(groups.map(({ name }) => name))].map((name, at) => [name, at]));
    this.#names = [...places.keys()];
    this.#nameOf = Uint32Array.from(groups, ({ name }) => places.get(name) ?? 0);
    const cells = apps.length * TIERS.length * this.#regions.length;
    const columns = (length: number) => ({
      ...{ sessions: new Uint32Array(length), within: new Uint32Array(length), away: new Uint32Array(length) },
    });
    this.#cells = columns(cells);
    this.#groups = { ...columns(this.#names.length), rttMs: new Float64Array(this.#names.length) };
    this.#poolSessions = new Uint32Array(pools);
    this.#poolSeconds = new Float64Array(pools);
  }

  placed(arrived: Arrived, placed: Placed, policy: string): void {
    const cell = this.#count(arrived, policy);
    const group = this.#nameOf[arrived.group] ?? 0;
    const bin = Math.min(BINS - 1, Math.floor(placed.rttMs / BIN_MS));
    this.#bins[bin] = (this.#bins[bin] ?? 0) + 1;
    this.#groups.rttMs[group] = (this.#groups.rttMs[group] ?? 0) + placed.rttMs;
    this.#poolSessions[placed.pool] = (this.#poolSessions[placed.pool] ?? 0) + 1;
    this.#poolSeconds[placed.pool] = (this.#poolSeconds[placed.pool] ?? 0) + placed.seconds;
    if (placed.isDegraded) this.#degraded += 1;
    if (!placed.isWithinLimit) return;
    this.#cells.within[cell] = (this.#cells.within[cell] ?? 0) + 1;
    this.#groups.within[group] = (this.#groups.within[group] ?? 0) + 1;
    this.#secondsWithin += placed.seconds;
  }

  turnedAway(arrived: Arrived, because: "queued" | "refused", policy: string): void {
    const cell = this.#count(arrived, policy);
    this.#cells.away[cell] = (this.#cells.away[cell] ?? 0) + 1;
    const group = this.#nameOf[arrived.group] ?? 0;
    this.#groups.away[group] = (this.#groups.away[group] ?? 0) + 1;
    if (because === "queued") this.#queued += 1;
    else this.#refused += 1;
  }

  #count({ group, app, tier }: Arrived, policy: string): number {
    const cell = (app * TIERS.length + tier) * this.#regions.length + (this.#regionOf[group] ?? 0);
    this.#cells.sessions[cell] = (this.#cells.sessions[cell] ?? 0) + 1;
    const name = this.#nameOf[group] ?? 0;
    this.#groups.sessions[name] = (this.#groups.sessions[name] ?? 0) + 1;
    this.#policies.set(policy, (this.#policies.get(policy) ?? 0) + 1);
    return cell;
  }

  /** `names` and `costs` of the pools are by their place in the tables. */
  summarise(names: readonly string[], costs: readonly (number | undefined)[]): Omit<DaySummary, "fillBytes"> {
    const scale = this.#day.sessionsPerArrival;
    const sum = (column: Uint32Array) => scale * column.reduce((total, value) => total + value, 0);
    const placed = this.#bins.reduce((total, value) => total + value, 0);
    const rttSum = this.#groups.rttMs.reduce((total, value) => total + value, 0);
    return {
      sessions: sum(this.#cells.sessions),
      withinLimit: sum(this.#cells.within),
      degraded: scale * this.#degraded,
      queued: scale * this.#queued,
      refused: scale * this.#refused,
      rttMsMean: rttSum / placed,
      rttMsP95: this.#quantileMs(0.95, placed),
      hoursWithinLimit: (this.#day.slotsPerArrival * this.#secondsWithin) / HOUR_SECONDS,
      shares: this.#shares(),
      groups: this.#names.map((name, at) => this.#groupRow(name, at)),
      pools: names.map((pool, at) => ({
        pool,
        sessions: scale * (this.#poolSessions[at] ?? 0),
        slotHours: this.#slotHours(at),
      })),
      policies: new Map([...this.#policies].map(([policy, count]) => [policy, scale * count])),
      cost: this.#cost(costs),
    };
  }

  #slotHours(pool: number): number {
    return (this.#day.slotsPerArrival * (this.#poolSeconds[pool] ?? 0)) / HOUR_SECONDS;
  }

  #cost(costs: readonly (number | undefined)[]): number | undefined {
    if (costs.every((cost) => cost === undefined)) return undefined;
    const isUnsaid = costs.some((cost, pool) => cost === undefined && (this.#poolSeconds[pool] ?? 0) > 0);
    return isUnsaid
      ? undefined
      : costs.reduce<number>((sum, cost, pool) => sum + (cost ?? 0) * this.#slotHours(pool), 0);
  }

  #quantileMs(ratio: number, placed: number): number {
    if (placed === 0) return Number.NaN;
    let seen = 0;
    for (let bin = 0; bin < BINS; bin += 1) {
      seen += this.#bins[bin] ?? 0;
      if (seen >= ratio * placed) return (bin + 1) * BIN_MS;
    }
    return BINS * BIN_MS;
  }

  #shares(): ShareRow[] {
    const scale = this.#day.sessionsPerArrival;
    return this.#day.apps.flatMap(({ name: app }, appAt) =>
      TIERS.flatMap((tier, tierAt) =>
        this.#regions.flatMap((region, regionAt): ShareRow[] => {
          const cell = (appAt * TIERS.length + tierAt) * this.#regions.length + regionAt;
          const [sessions, withinLimit, turnedAway] = [this.#cells.sessions, this.#cells.within, this.#cells.away].map(
            (column) => scale * (column[cell] ?? 0),
          );
          return [
            { app, region, tier, sessions: sessions ?? 0, withinLimit: withinLimit ?? 0, turnedAway: turnedAway ?? 0 },
          ];
        }),
      ),
    );
  }

  #groupRow(name: string, group: number): GroupRow {
    const scale = this.#day.sessionsPerArrival;
    const { sessions, within, away, rttMs } = this.#groups;
    const placed = (sessions[group] ?? 0) - (away[group] ?? 0);
    return {
      group: name,
      sessions: scale * (sessions[group] ?? 0),
      withinLimit: scale * (within[group] ?? 0),
      turnedAway: scale * (away[group] ?? 0),
      rttMsMean: (rttMs[group] ?? 0) / placed,
    };
  }
}
