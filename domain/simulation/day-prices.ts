/**
 * The prices of a simulated day, solved in turns from who came so far, as a scheduler's slow loop solves them: the same
 * count, forecast, solver, guards and trial. Pure.
 *
 * Turns are as far apart as their cost permits. One that fails leaves the last prices; after several there are none.
 */
import { isFailure } from "../failure.ts";
import { fixedMs } from "../latency/budget.ts";
import { type CellPools, shortlistOf } from "../placement/cell-pools.ts";
import { type DecisionFrame, REACHABLE } from "../placement/decision-frame.ts";
import { ExpectedDemand, roomMsOf, roomStepOf } from "../placement/expected-demand.ts";
import type { PoolTable } from "../placement/pool-table.ts";
import { guardPrices, isContended, PriceTrial, steppedPriceMs, withinLimitOf } from "../placement/price-guard.ts";
import { type PriceProblem, solvePrices } from "../placement/prices.ts";
import { countSlots, mostWanted } from "../placement/wanted-slots.ts";
import type { GroupAsk } from "./asks.ts";
import type { Occupancy } from "./occupancy.ts";

/** In an hour the crowd's places change by some points; in a quarter of it by less than a price tells. */
const TURN_SECONDS_MIN = 900;
const TURN_SECONDS_MAX = 3600;
/** Pairs of a cell and a pool that the turns of a day have, all together: 0.2 s of solving. Five times as many gain nothing. */
const TURN_PAIRS_MAX = 200_000;
/** Cells that prices are solved for, as many as a scheduler's; who is of another is not counted. */
const PRICED_CELLS_MAX = 5_000;
/** Turns that fail one after the other: a scheduler's prices end when its slowest turns have failed as often. */
const FAILED_TURNS_MAX = 6;
/** Of each turn, as a scheduler keeps them. */
const TRIED_MAX = 2_000;
/** In stays: pools of the trial are thinned so finely. */
const TRIAL_STEP = 0.01;
const DAY_SECONDS = 86_400;

interface DemandCell {
  readonly cell: number;
  /** The shortlist, with round trips, of what any class leaves room for. */
  readonly near: readonly { readonly pool: number; readonly rttMs: number }[];
  readonly roomMs: number;
  isSeen: boolean;
  alive: number;
}

export interface DayPricesParts {
  readonly occupancy: Occupancy;
  /** Their tables have the same pools in the same order. */
  readonly classes: readonly string[];
  readonly pools: number;
  /** Of all who come in the day. */
  readonly asks: Iterable<GroupAsk>;
  readonly solve?: typeof solvePrices;
}

export class DayPrices {
  readonly #parts: DayPricesParts;
  readonly #solve: typeof solvePrices;
  readonly #demand: ExpectedDemand;
  readonly #cells: DemandCell[] = [];
  readonly #cellOf = new Map<GroupAsk, DemandCell>();
  readonly #wanted = new Map<string, number>();
  readonly #trial: PriceTrial;
  #isLosing = false;
  #tried = 0;
  #triedUntilSeconds = 0;
  #arrivals: Float64Array;
  #fresh: number[] = [];
  #alive = 0;
  #ended = 0;
  #lastTurnSeconds: number | undefined;
  #nextTurnSeconds = Number.NEGATIVE_INFINITY;
  #secondsPerStay = DAY_SECONDS;
  #failed = 0;
  #solvedMs: Float64Array | undefined;
  #guardedMs: Float64Array;
  #capacity: Float64Array;

  constructor(parts: DayPricesParts) {
    this.#parts = parts;
    this.#solve = parts.solve ?? solvePrices;
    this.#findCells(parts.asks);
    this.#demand = new ExpectedDemand(this.#cells.length);
    this.#arrivals = new Float64Array(this.#cells.length);
    this.#trial = new PriceTrial(parts.pools);
    this.#guardedMs = new Float64Array(parts.pools);
    this.#capacity = new Float64Array(parts.pools);
  }

  /** A turn, where one is due: before whoever comes then is placed. */
  passUntil(seconds: number): void {
    if (seconds < this.#nextTurnSeconds) return;
    if (this.#lastTurnSeconds !== undefined) this.#turn(seconds - this.#lastTurnSeconds);
    else this.#triedUntilSeconds = seconds;
    this.#lastTurnSeconds = seconds;
    this.#nextTurnSeconds = seconds + this.#turnSeconds();
  }

  /** One more came; the frame has the decision for its first class. */
  arrived(ask: GroupAsk, frame: DecisionFrame, seconds: number): void {
    const cell = this.#cellOf.get(ask);
    if (cell === undefined) return;
    if (!cell.isSeen) this.#fresh.push(cell.cell);
    cell.isSeen = true;
    this.#arrivals[cell.cell] = (this.#arrivals[cell.cell] ?? 0) + 1;
    this.#tried += 1;
    if (this.#tried <= TRIED_MAX) this.#try(frame, seconds);
  }

  /** A session of it runs. */
  started(ask: GroupAsk): void {
    this.#count(ask, 1);
  }

  ended(ask: GroupAsk): void {
    this.#count(ask, -1);
    this.#ended += 1;
  }

  #count(ask: GroupAsk, by: 1 | -1): void {
    const cell = this.#cellOf.get(ask);
    const liked = ask.tries[0];
    if (cell === undefined || liked === undefined) return;
    cell.alive += by;
    this.#alive += by;
    const renderClass = this.#parts.classes[liked.classAt] ?? "";
    this.#wanted.set(renderClass, (this.#wanted.get(renderClass) ?? 0) + by);
  }

  /** By place and room. */
  #findCells(asks: Iterable<GroupAsk>): void {
    const byPlace = new Map<unknown, Map<number, DemandCell>>();
    for (const ask of asks) {
      const [first] = ask.tries;
      if (first === undefined) continue;
      const here = byPlace.get(ask.cell) ?? new Map<number, DemandCell>();
      byPlace.set(ask.cell, here);
      const step = roomStepOf(first.ask.budgetMs - fixedMs(first.ask, 0));
      const cell = here.get(step) ?? this.#addCell(ask.cell, first.view.table, step);
      if (cell === undefined) continue;
      here.set(step, cell);
      this.#cellOf.set(ask, cell);
    }
  }

  #addCell(place: CellPools, { flags }: PoolTable, step: number): DemandCell | undefined {
    if (this.#cells.length >= PRICED_CELLS_MAX) return undefined;
    const roomMs = roomMsOf(step);
    const near = shortlistOf(place).filter(({ pool, rttMs }) => rttMs <= roomMs && flags[pool] === REACHABLE);
    const cell = { cell: this.#cells.length, near, roomMs, isSeen: false, alive: 0 };
    this.#cells.push(cell);
    return cell;
  }

  #turn(seconds: number): void {
    const stays = this.#demand.learn({
      ...{ seconds, running: this.#alive, ended: this.#ended, arrivals: this.#arrivals },
      ...{ gone: [], fresh: this.#fresh },
    });
    this.#secondsPerStay = stays > 0 ? seconds / stays : this.#secondsPerStay;
    this.#arrivals = new Float64Array(this.#cells.length);
    this.#fresh = [];
    this.#ended = 0;
    this.#tried = 0;
    this.#isLosing = this.#trial.arePricesLosing || (this.#isLosing && this.#trial.lead < 0);
    try {
      this.#price();
      this.#failed = 0;
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#solvedMs = undefined;
      this.#failed += 1;
      if (this.#failed >= FAILED_TURNS_MAX) this.#publish(new Float64Array(this.#parts.pools));
    }
  }

  #price(): void {
    const problem = this.#makeProblem();
    this.#capacity = problem.capacity;
    const solution = isContended(problem) ? this.#solve(problem, this.#solvedMs) : undefined;
    this.#solvedMs = solution?.priceMs;
    const nothing = new Float64Array(this.#parts.pools);
    this.#publish(solution === undefined ? nothing : guardPrices(problem, solution, this.#demand.error));
  }

  #publish(guardedMs: Float64Array): void {
    this.#guardedMs = guardedMs;
    const isOff = this.#isLosing;
    this.#parts.occupancy.setPrices(guardedMs.map((priceMs) => (isOff ? 0 : steppedPriceMs(priceMs))));
  }

  #makeProblem(): PriceProblem {
    const held = this.#slotsByPool();
    const firstOf = new Uint32Array(this.#cells.length + 1);
    const pools: number[] = [];
    const rttMs: number[] = [];
    for (const [row, { near, roomMs }] of this.#cells.entries()) {
      for (const entry of near) {
        const slots = held[entry.pool];
        if (slots === undefined || entry.rttMs > roomMs - slots.frameMs) continue;
        pools.push(entry.pool);
        rttMs.push(entry.rttMs);
      }
      firstOf[row + 1] = pools.length;
    }
    return {
      ...{ firstOf, pools: Uint16Array.from(pools), rttMs: Float32Array.from(rttMs) },
      demand: this.#demand.expect(this.#cells),
      capacity: Float64Array.from(held, (slots) => slots?.slots ?? 0),
    };
  }

  #slotsByPool() {
    const { occupancy, pools } = this.#parts;
    const wanted = mostWanted(this.#wanted).flatMap(([name, weight]) => {
      const table = occupancy.tableOf(name);
      return table === undefined || weight <= 0 ? [] : [{ table, weight }];
    });
    return Array.from({ length: pools }, (_, pool) =>
      countSlots(wanted.map(({ table, weight }) => ({ capacity: capacityOf(table, pool), weight }))),
    );
  }

  #turnSeconds(): number {
    const pairs = this.#cells.reduce((sum, { near }) => sum + near.length, 0);
    return Math.min(TURN_SECONDS_MAX, Math.max(TURN_SECONDS_MIN, (DAY_SECONDS * pairs) / TURN_PAIRS_MAX));
  }

  #try(frame: DecisionFrame, seconds: number): void {
    const stays = (seconds - this.#triedUntilSeconds) / this.#secondsPerStay;
    if (stays >= TRIAL_STEP) {
      this.#trial.pass(stays);
      this.#triedUntilSeconds = seconds;
    }
    const row = withinLimitOf(frame, (pool) => pool);
    this.#trial.arrive({ ...row, capacity: this.#capacity }, 0, this.#guardedMs);
  }
}

function capacityOf({ flags, slotsTotal, slotsFree, renderEncodeMs }: PoolTable, pool: number) {
  return {
    isOpen: flags[pool] === REACHABLE,
    ...{ slotsTotal: slotsTotal[pool] ?? 0, slotsFree: slotsFree[pool] ?? 0, frameMsP95: renderEncodeMs[pool] ?? 0 },
  };
}
