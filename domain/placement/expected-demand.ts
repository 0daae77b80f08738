/**
 * How many sessions to expect of each demand cell, learnt in turns from what came, who runs and who left; and how wrong
 * that has been. What schedulers price by, and simulated days. Pure.
 */
import { DemandForecast, PRIOR_SHAPE_UNKNOWN, StayEstimate, sessionsInOneStay } from "./demand-forecast.ts";
import { ForecastRecord } from "./price-guard.ts";

/** Until some have ended. */
const STAY_SECONDS_EXPECTED = 1_200;
const STAY_MEMORY_SECONDS = 21_600;
/** In stays. */
const FORECAST_MEMORY = 4;
const ERROR_MEMORY = 0.25;
/** In a stay, of a cell of which nothing has come. */
const ARRIVALS_EXPECTED = 1;
/** Limits that differ by less are one cell. */
const ROOM_STEP_MS = 5;
const ROOM_MS_MAX = 200;

/** Which step of room a session is counted in: what its latency budget leaves for rendering and the network. */
export function roomStepOf(roomMs: number): number {
  return Math.floor(Math.min(ROOM_MS_MAX, Math.max(0, roomMs)) / ROOM_STEP_MS);
}

/** The middle of the step. */
export function roomMsOf(step: number): number {
  return (step + 0.5) * ROOM_STEP_MS;
}

export interface LearntTurn {
  readonly seconds: number;
  /** Sessions of all cells. */
  readonly running: number;
  readonly ended: number;
  /** By cell. */
  readonly arrivals: Float64Array;
  /** Cells that nobody is of any more, and those that are of somebody else from this turn on. */
  readonly gone: readonly number[];
  readonly fresh: readonly number[];
}

export class ExpectedDemand {
  readonly #stays = new StayEstimate(STAY_SECONDS_EXPECTED, STAY_MEMORY_SECONDS);
  readonly #forecast: DemandForecast;
  readonly #record: ForecastRecord;

  constructor(cells: number) {
    this.#forecast = new DemandForecast(new Float64Array(cells), FORECAST_MEMORY, PRIOR_SHAPE_UNKNOWN);
    this.#record = new ForecastRecord(cells, ERROR_MEMORY);
  }

  /** Of the forecasts, 0 and more. */
  get error(): number {
    return this.#record.error;
  }

  /** Answers how long the turn was, in stays. */
  learn({ seconds, running, ended, arrivals, gone, fresh }: LearntTurn): number {
    this.#stays.observe({ seconds, running, ended });
    const stays = seconds / this.#stays.seconds;
    if (stays === 0) return 0;
    for (const cell of gone) this.#restart(cell, 0);
    for (const cell of fresh) this.#restart(cell, ARRIVALS_EXPECTED);
    const rates = this.#forecast.rates().map((rate) => rate * stays);
    const judged = Float64Array.from(arrivals);
    // Of a cell that was not there nothing was forecast.
    for (const cell of fresh) judged[cell] = rates[cell] ?? 0;
    this.#record.observe(rates, judged, stays);
    this.#forecast.observe(arrivals, stays);
    return stays;
  }

  /** Sessions at once in one stay from now, of cells that so many run or wait of. */
  expect(cells: readonly { readonly cell: number; readonly alive: number }[]): Float64Array {
    const rates = this.#forecast.rates();
    return Float64Array.from(cells, ({ cell, alive }) => sessionsInOneStay(alive, rates[cell] ?? 0));
  }

  #restart(cell: number, expected: number): void {
    this.#forecast.restart(cell, expected);
    this.#record.restart(cell);
  }
}
