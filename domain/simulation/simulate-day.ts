/**
 * Replays a day over a fleet and its policies with the core that schedulers decide by. Pure: the same day and world give
 * the same summary.
 *
 * Each arrival selects its policy, then a class, a pool and a slot, as a session does; it leaves when its time is over.
 * A session that is told to wait is counted and does not come back. O(arrivals · (shortlist + log running)), and
 * O(pools · neighbours) more for an arrival whose policy has a reserve or a spread.
 */
import { decideForCell } from "../placement/cell-pools.ts";
import { rttLimitMsOf } from "../placement/decision.ts";
import { DecisionFrame, NOWHERE, REACHABLE } from "../placement/decision-frame.ts";
import { judgeLabels, type PoolSubject } from "../placement/labels.ts";
import { PoolIds } from "../placement/pool-ids.ts";
import type { Expression, NamedPolicy } from "../policy/policy-match.ts";
import { Asks, type GroupAsk, type SimulatedTry } from "./asks.ts";
import { type Day, type DayPool, repeatsOf } from "./day.ts";
import { DayPrices } from "./day-prices.ts";
import { Departures } from "./departures.ts";
import { HeldScenes } from "./held-scenes.ts";
import { Occupancy } from "./occupancy.ts";
import { type Arrived, type DaySummary, Tally } from "./tally.ts";
import { Withheld } from "./withheld.ts";

export interface World {
  readonly pools: readonly DayPool[];
  readonly policies: readonly NamedPolicy[];
  /** Of the policies, over pools, compiled. */
  readonly expressions: ReadonlyMap<string, Expression<PoolSubject>>;
  /** By pool, for all of the day; where not given they are solved in the day, as schedulers do. */
  readonly priceMs?: ReadonlyMap<string, number>;
  /** Times the day's arrivals; 1 where not given. */
  readonly load?: number;
  /** Told of each arrival that gets a slot, by its group's place in the day. */
  readonly onPlaced?: (group: number, pool: string) => void;
}

export function simulateDay(day: Day, world: World): DaySummary {
  const run = new DayRun(day, world);
  run.runUntil(Number.POSITIVE_INFINITY);
  return run.summarise();
}

/** Where a session runs. */
export interface RunningSession extends Arrived {
  readonly pool: string;
  readonly classAt: number;
}

interface Slot extends Arrived {
  readonly poolAt: number;
  readonly classAt: number;
}

export class DayRun {
  readonly #day: Day;
  readonly #load: number;
  readonly #onPlaced: World["onPlaced"];
  /** Visits are so many times longer than sessions are. */
  readonly #stretch: number;
  readonly #pools: readonly DayPool[];
  readonly #occupancy: Occupancy;
  readonly #withheld: Withheld;
  readonly #scenes: HeldScenes;
  readonly #asks: Asks;
  readonly #classes: readonly string[];
  readonly #arePricesGiven: boolean;
  /** From the first arrival on; undefined where prices are given. */
  #prices: DayPrices | undefined;
  readonly #tally: Tally;
  readonly #frame = new DecisionFrame();
  readonly #departures = new Departures();
  /** By the number that departures know a session by. */
  readonly #running: (Slot | undefined)[] = [];
  readonly #freeIds: number[] = [];
  /** In the order of the tables: a pool's id is its place. */
  readonly #names: readonly string[];
  readonly #placeOf: ReadonlyMap<string, number>;
  #next = 0;

  constructor(day: Day, { pools, policies, expressions, priceMs, load = 1, onPlaced }: World) {
    this.#day = day;
    this.#onPlaced = onPlaced;
    this.#load = load;
    this.#stretch = day.sessionsPerArrival / day.slotsPerArrival;
    const classes = [...new Set(day.apps.flatMap(({ spec }) => spec.classes.map(({ name }) => name)))];
    this.#pools = pools.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map((pool) => judged(pool, expressions));
    this.#names = this.#pools.map(({ name }) => name);
    this.#placeOf = new Map(this.#names.map((name, at) => [name, at]));
    this.#occupancy = new Occupancy(this.#pools, {
      ...{ classes, ids: new PoolIds(), slotsPerArrival: day.slotsPerArrival },
      priceMsOf: (pool) => priceMs?.get(pool) ?? 0,
    });
    this.#withheld = new Withheld(this.#pools);
    this.#scenes = new HeldScenes(this.#pools, day.apps);
    this.#asks = new Asks(day, { policies, classes, occupancy: this.#occupancy });
    this.#classes = classes;
    this.#arePricesGiven = priceMs !== undefined;
    this.#tally = new Tally(day, this.#pools.length);
  }

  /** Of those that come before the time. */
  runUntil(untilSeconds: number): void {
    const { atSeconds, durationSeconds, group, app, tier, count } = this.#day.arrivals;
    if (!this.#arePricesGiven) this.#prices ??= this.#openPrices();
    for (; this.#next < count; this.#next += 1) {
      const at = atSeconds[this.#next] ?? 0;
      if (at >= untilSeconds) break;
      this.#leaveUntil(at);
      this.#prices?.passUntil(at);
      const arrived = { group: group[this.#next] ?? 0, app: app[this.#next] ?? 0, tier: tier[this.#next] ?? 0 };
      const seconds = durationSeconds[this.#next] ?? 0;
      for (let left = repeatsOf(this.#next, this.#load); left > 0; left -= 1) this.#arrive(arrived, at, seconds);
    }
    if (Number.isFinite(untilSeconds)) this.#leaveUntil(untilSeconds);
  }

  /** Those that run now, in an order that the day alone decides. */
  listRunning(): readonly RunningSession[] {
    return this.#running.flatMap((slot) => {
      if (slot === undefined) return [];
      const { group, app, tier, classAt } = slot;
      return { group, app, tier, classAt, pool: this.#names[slot.poolAt] ?? "" };
    });
  }

  /** Whether the session may go on where it is: the pool is there, and the policy that applies permits it. */
  mayStay({ group, app, tier, pool }: RunningSession): boolean {
    const poolAt = this.#placeOf.get(pool);
    const [first] = this.#asks.find(group, app, tier).tries;
    if (poolAt === undefined || first === undefined) return false;
    const isReachable = ((first.view.table.flags[poolAt] ?? 0) & REACHABLE) !== 0;
    return isReachable && first.view.rules.unmet[poolAt] === 0;
  }

  /** Goes by the prices that the other run has now: for who is placed without a day of their own. */
  adoptPrices(other: DayRun): void {
    const known = new Map(other.#names.map((name, at) => [name, other.#occupancy.priceMsAt(at)]));
    this.#occupancy.setPrices(Float64Array.from(this.#names, (name) => known.get(name) ?? 0));
  }

  /** Takes a slot without a decision: what runs already. False where its pool is gone. */
  hold({ classAt, pool, app }: RunningSession): boolean {
    const poolAt = this.#placeOf.get(pool);
    if (poolAt === undefined) return false;
    this.#take(poolAt, classAt, this.#day.apps[app]?.name ?? "");
    return true;
  }

  /** Whether a session that lost its pool gets a slot, which it then holds for good. It may take what is kept free for failures. */
  replace({ group, app, tier }: Arrived): boolean {
    const ask = this.#asks.find(group, app, tier);
    for (const attempt of ask.tries) {
      const { view } = attempt;
      const rules = { ...view.rules, capacityReserveRatio: 0 };
      decideForCell(this.#frame, { table: view.table, rules }, ask.cell, attempt.ask);
      if (this.#frame.chosenAt === NOWHERE) continue;
      this.#take(this.#frame.pools[this.#frame.chosenAt] ?? 0, attempt.classAt, ask.app);
      return true;
    }
    return false;
  }

  summarise(): DaySummary {
    const costs = this.#pools.map(({ slotHourCost }) => slotHourCost);
    return { ...this.#tally.summarise(this.#names, costs), fillBytes: this.#scenes.fetchedBytes };
  }

  #openPrices(): DayPrices {
    const { group, app, tier, count } = this.#day.arrivals;
    const asks = new Set<GroupAsk>();
    for (let at = 0; at < count; at += 1) asks.add(this.#asks.find(group[at] ?? 0, app[at] ?? 0, tier[at] ?? 0));
    return new DayPrices({ occupancy: this.#occupancy, classes: this.#classes, pools: this.#pools.length, asks });
  }

  #arrive(arrived: Arrived, atSeconds: number, durationSeconds: number): void {
    const ask = this.#asks.find(arrived.group, arrived.app, arrived.tier);
    const isCounted = atSeconds >= 0;
    const policy = ask.policy.name ?? "";
    let mayWait = false;
    for (const attempt of ask.tries) {
      this.#decide(ask, attempt);
      if (attempt === ask.tries[0]) this.#prices?.arrived(ask, this.#frame, atSeconds);
      const { chosenAt, state } = this.#frame;
      mayWait ||= state === "queued";
      if (chosenAt === NOWHERE) continue;
      const poolAt = this.#frame.pools[chosenAt] ?? 0;
      const seconds = Math.min(durationSeconds, this.#stretch * ask.policy.sessionSecondsMax);
      this.#take(poolAt, attempt.classAt, ask.app);
      this.#onPlaced?.(arrived.group, this.#names[poolAt] ?? "");
      this.#remember({ ...arrived, poolAt, classAt: attempt.classAt }, atSeconds + seconds);
      this.#prices?.started(ask);
      this.#scenes.change(arrived.app, poolAt, 1);
      if (!isCounted) return;
      const rttMs = this.#frame.rttMs[chosenAt] ?? 0;
      const isWithinLimit = rttMs <= rttLimitMsOf(this.#frame, chosenAt);
      const isDegraded = attempt.isLaterClass || state === "degraded";
      this.#tally.placed(arrived, { pool: poolAt, rttMs, isWithinLimit, isDegraded, seconds }, policy);
      return;
    }
    if (isCounted) this.#tally.turnedAway(arrived, mayWait ? "queued" : "refused", policy);
  }

  #decide({ policy, app, cell }: GroupAsk, { view, ask }: SimulatedTry): void {
    decideForCell(this.#frame, this.#withheld.apply(view, app, policy), cell, ask);
  }

  #take(poolAt: number, classAt: number, app: string): void {
    this.#occupancy.change(classAt, poolAt, 1);
    this.#withheld.change(app, poolAt, 1);
  }

  #remember(slot: Slot, untilSeconds: number): void {
    const id = this.#freeIds.pop() ?? this.#running.length;
    this.#running[id] = slot;
    this.#departures.add(untilSeconds, id);
  }

  #leaveUntil(atSeconds: number): void {
    while (this.#departures.nextSeconds <= atSeconds) {
      const id = this.#departures.take();
      const slot = this.#running[id];
      this.#running[id] = undefined;
      this.#freeIds.push(id);
      if (slot === undefined) continue;
      this.#occupancy.change(slot.classAt, slot.poolAt, -1);
      this.#withheld.change(this.#day.apps[slot.app]?.name ?? "", slot.poolAt, -1);
      this.#scenes.change(slot.app, slot.poolAt, -1);
      this.#prices?.ended(this.#asks.find(slot.group, slot.app, slot.tier));
    }
  }
}

/** Expressions are labels to a decision. */
export function judged(pool: DayPool, expressions: World["expressions"]): DayPool {
  const { name, labels, region, coordinates } = pool;
  return { ...pool, labels: judgeLabels({ metadata: { name, labels }, spec: { region, coordinates } }, expressions) };
}
