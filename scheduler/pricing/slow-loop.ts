/**
 * The turns in which prices are made: who is expected, what they would choose from, prices solved in a thread, guards,
 * and the trial of the last turn's decisions. A turn that fails leaves the last prices, which end when they are too old.
 */
import { type Failure, isFailure } from "#domain/failure.ts";
import type { RttMap } from "#domain/latency/rtt-map.ts";
import { expectSessions } from "#domain/placement/contention.ts";
import { ExpectedDemand } from "#domain/placement/expected-demand.ts";
import type { PoolIds } from "#domain/placement/pool-ids.ts";
import { dampingOf, guardPrices, isContended } from "#domain/placement/price-guard.ts";
import type { PriceProblem } from "#domain/placement/prices.ts";
import type { Clock } from "#platform/clock.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { PoolFacts } from "../placement/pool-facts.ts";
import { DecisionTrial } from "./decision-trial.ts";
import { DEMAND_GROUPS_MAX, type DemandCounter, type DemandGroup, type DemandTurn } from "./demand-counter.ts";
import { makeProblem, PoolColumns, Shortlists } from "./demand-problem.ts";
import { readPoolSlots } from "./pool-slots.ts";
import type { SolveAnswer } from "./price-solver.ts";
import type { PriceBoard, PriceMode, Prices } from "./price-source.ts";

/** Pools whose sessions are compared with what runs there in a turn: all of 300 within four minutes. */
export const POOLS_RECONCILED_MAX = 8;

export interface PricingEvents {
  priced(turn: PricedTurn): void;
  /** Those of the replica that solves have grown too old here. */
  pricesMissed(): void;
  /** `left` are the last prices, which stay for now; undefined where there are none, or too old ones. */
  pricingFailed(failure: Failure, left: Prices | undefined): void;
  /** `lead` is the share within the limit that prices gain over the rule without them. */
  pricesLost(lead: number): void;
  pricesRegained(lead: number): void;
}

export interface PricedTurn {
  readonly mode: PriceMode;
  /** Whether another replica has solved them. */
  readonly isFollowed: boolean;
  readonly prices: Prices;
  /** CPU time of the solver; undefined where there was nothing to solve. */
  readonly solveMs: number | undefined;
  /** Of the forecast, 0 and more. */
  readonly error: number;
}

export interface PricingPorts {
  readonly clock: Clock;
  readonly turnSeconds: number;
  readonly counter: DemandCounter;
  readonly facts: { listPools(): readonly PoolFacts[] };
  readonly ledger: Pick<Ledger, "capacities">;
  readonly rttMap: RttMap;
  /** By which decisions name pools. */
  readonly pools: PoolIds;
  readonly solver: { solve(problem: PriceProblem, previous?: Float64Array): Promise<SolveAnswer> };
  readonly published: PriceBoard;
  readonly events: PricingEvents;
}

interface PublishedColumns {
  readonly priceMs: Float64Array;
  readonly expected: Float64Array;
}

export class PricingLoop implements Disposable {
  readonly #ports: PricingPorts;
  readonly #turns: Disposable;
  readonly #columns = new PoolColumns();
  readonly #shortlists = new Shortlists();
  readonly #trial: DecisionTrial;
  readonly #demand = new ExpectedDemand(DEMAND_GROUPS_MAX);
  /** Whose cells the demand is of. */
  #groups = new Set<DemandGroup>();
  #isActive = false;
  #isInformed = false;
  /** Of the last turn. */
  #wasFollowing = false;
  #lastTurnMs: number;
  #nextReconciled = 0;
  /** As solved, by column; undefined after a turn without. */
  #solvedMs: Float64Array | undefined;
  /** After guards, of the last turn: what its decisions went by, or would have. */
  #guardedMs: Float64Array = new Float64Array();

  constructor(ports: PricingPorts) {
    this.#ports = ports;
    this.#trial = new DecisionTrial(ports.pools, this.#columns);
    this.#lastTurnMs = ports.clock.monotonicMs();
    this.#turns = ports.clock.every(ports.turnSeconds * 1000, () => this.turn());
  }

  /** In the replica that holds the slow loop's lease and sees all that is observed. The others only learn. */
  setActive(isActive: boolean): void {
    if (isActive && !this.#isActive) this.#ports.published.begin();
    this.#isActive = isActive;
  }

  /** Whether all that is observed is known here: only then a session that no report names has ended. */
  setInformed(isInformed: boolean): void {
    this.#isInformed = isInformed;
  }

  async turn(): Promise<void> {
    const { events, published } = this.#ports;
    if (!this.#isActive) {
      this.#follow();
      return;
    }
    this.#wasFollowing = false;
    try {
      events.priced(await this.#price());
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#solvedMs = undefined;
      events.pricingFailed(error, published.isStale ? undefined : published.current());
    }
  }

  [Symbol.dispose](): void {
    this.#turns[Symbol.dispose]();
  }

  #follow(): void {
    const { events, published, counter, facts } = this.#ports;
    if (this.#isInformed) this.#reconcile(facts.listPools());
    this.#learn(counter.takeTurn());
    const { followedMode } = published;
    const isFollowed = followedMode !== undefined;
    const prices = published.current();
    const mode = followedMode ?? "off-inactive";
    events.priced({ mode, isFollowed, prices, solveMs: undefined, error: this.#demand.error });
    if (this.#wasFollowing && !isFollowed) events.pricesMissed();
    this.#wasFollowing = isFollowed;
  }

  async #price(): Promise<PricedTurn> {
    const { counter, facts, ledger, clock, rttMap, solver } = this.#ports;
    const pools = await readPoolSlots(ledger, facts.listPools(), counter.byClass);
    this.#reconcile(pools.map(({ pool }) => pool));
    const turn = counter.takeTurn();
    const stays = this.#learn(turn);
    const isAnew = !this.#columns.extend(pools.map(({ pool }) => pool.pool));
    if (isAnew) this.#solvedMs = undefined;
    await this.#shortlists.renew(turn.groups, pools, { map: rttMap, nowMs: clock.nowMs() });
    const sessions = this.#demand.expect(turn.groups);
    const expected = turn.groups.map((group, at) => ({ group, sessions: sessions[at] ?? 0 }));
    const problem = makeProblem(expected, {
      ...{ shortlists: this.#shortlists, columns: this.#columns, pools },
      slotsElsewhere: ({ pool, slotsUsed }) => Math.max(0, slotsUsed - counter.countAt(pool.pool)),
    });
    this.#try(turn, { isAnew, stays, capacity: problem.capacity });
    const { count } = this.#columns;
    const atPools = expectSessions(problem, count);
    if (!isContended(problem)) return this.#publish({ priceMs: new Float64Array(count), expected: atPools });
    const { solution, cpuMs } = await solver.solve(problem, this.#solvedMs);
    this.#solvedMs = solution.priceMs;
    return this.#publish({ priceMs: guardPrices(problem, solution, this.#demand.error), expected: atPools }, cpuMs);
  }

  /** Some pools in turn: sessions that are counted there and do not run. */
  #reconcile(pools: readonly PoolFacts[]): void {
    const { counter } = this.#ports;
    const count = Math.min(POOLS_RECONCILED_MAX, pools.length);
    for (let index = 0; index < count; index += 1) {
      const pool = pools[(this.#nextReconciled + index) % pools.length];
      if (pool?.hasSession !== undefined) counter.reconcile(pool.pool, pool.hasSession);
    }
    this.#nextReconciled = pools.length === 0 ? 0 : (this.#nextReconciled + count) % pools.length;
  }

  /** What came since the last turn; answers how long that was, in stays. */
  #learn({ groups, arrivals, ended }: DemandTurn): number {
    const nowMs = this.#ports.clock.monotonicMs();
    const seconds = (nowMs - this.#lastTurnMs) / 1000;
    this.#lastTurnMs = nowMs;
    const present = new Set(groups);
    const gone = [...this.#groups].filter((group) => !present.has(group));
    const fresh = groups.filter((group) => !this.#groups.has(group));
    const cellsOf = (of: readonly DemandGroup[]) => of.map(({ cell }) => cell);
    const running = this.#ports.counter.alive;
    const stays = this.#demand.learn({ seconds, running, ended, arrivals, gone: cellsOf(gone), fresh: cellsOf(fresh) });
    if (stays > 0) this.#groups = present;
    return stays;
  }

  #try({ decisions }: DemandTurn, of: { isAnew: boolean; stays: number; capacity: Float64Array }): void {
    const { events } = this.#ports;
    const before = this.#trial.arePricesLosing;
    this.#trial.prepare(of.isAnew);
    this.#trial.run({ decisions, stays: of.stays, priceMs: this.#guardedMs, capacity: of.capacity });
    const { arePricesLosing, lead } = this.#trial;
    if (arePricesLosing && !before) events.pricesLost(lead);
    if (!arePricesLosing && before) events.pricesRegained(lead);
  }

  /** By column: prices after guards, and what is expected. */
  async #publish({ priceMs, expected }: PublishedColumns, solveMs?: number): Promise<PricedTurn> {
    const { error } = this.#demand;
    const byPool = this.#trial.arePricesLosing ? new Map<string, number>() : this.#columns.collectPrices(priceMs);
    if (solveMs === undefined) this.#solvedMs = undefined;
    const mode = this.#modeOf(solveMs, error);
    const priced = { byPool, expectedByPool: this.#columns.collect(expected) };
    const prices = await this.#ports.published.publish(priced, mode);
    this.#guardedMs = priceMs;
    return { mode, isFollowed: false, prices, solveMs, error };
  }

  #modeOf(solveMs: number | undefined, error: number): PriceMode {
    if (this.#trial.arePricesLosing) return "off-losing";
    if (solveMs === undefined) return "off-uncontended";
    return dampingOf(error) < 1 ? "damped" : "applied";
  }
}
