/**
 * Places many sessions at once after pools have failed, so that as many as can be are within their limit, with few moves
 * of those that still run. Pure.
 *
 * Each waiting session takes the path of fewest moves to a free slot: into a pool within its limit, out of which
 * another goes to one within its own, and so on (augmenting paths, Ford and Fulkerson 1956). A session of the batch
 * that was placed already goes on for nothing; one that runs costs a move. O(pairs of cell and pool) for each path.
 */
import { assert } from "../assert.ts";

/** Cells and the pools within their limit, in compressed rows, as in `PriceProblem`. */
export interface BatchProblem {
  readonly firstOf: Uint32Array;
  readonly pools: Uint16Array;
  /** Sessions to place, by cell. */
  readonly waiting: ArrayLike<number>;
  /** Slots, by pool; none where it failed. */
  readonly free: ArrayLike<number>;
  /** Sessions that run within their limit, by pair. */
  readonly running: ArrayLike<number>;
  /** Cells of sessions that run beyond their limit, by pool. */
  readonly outside: readonly (readonly number[])[];
  /** Sessions that run and may be moved. */
  readonly movesMax: number;
}

export interface BatchPlan {
  /** Sessions of the batch that get a slot within their limit, by pair. */
  readonly placed: Int32Array;
  /** Of the batch, by cell, that no pool within the limit could be found for. */
  readonly left: Int32Array;
  /** Of sessions that run: within their limit, into it, or from beyond it to elsewhere beyond it. In the order in which they can be made. */
  readonly moves: readonly { readonly cell: number; readonly from: number; readonly to: number }[];
  /** By pool, after all. */
  readonly free: Int32Array;
}

export function planBatch(problem: BatchProblem): BatchPlan {
  return new Batch(problem).plan();
}

interface Step {
  /** The pool from which a session is pushed on; -1 where the path begins. */
  readonly from: number;
  readonly to: number;
  /** Whose session it is. */
  readonly cell: number;
  readonly kind: "waiting" | "promoted" | "batch" | "running" | "outside";
}

/** Longer paths gain as little as any for more moves. */
const PATH_MOVES_MAX = 4;

const UNREACHED = 0x7fff_ffff;

class Batch {
  readonly #problem: BatchProblem;
  readonly #placed: Int32Array;
  readonly #running: Int32Array;
  readonly #outside: number[][];
  readonly #free: Int32Array;
  readonly #left: Int32Array;
  /** By pool, the pairs that lead to it. */
  readonly #pairsOf: number[][];
  readonly #cellOf: Uint32Array;
  readonly #moves: { cell: number; from: number; to: number }[] = [];
  #movesLeft: number;

  constructor(problem: BatchProblem) {
    const { firstOf, pools, waiting, free, running, outside, movesMax } = problem;
    assert(running.length === pools.length && outside.length === free.length, "a batch is of the same pairs and pools");
    this.#problem = problem;
    this.#placed = new Int32Array(pools.length);
    this.#running = Int32Array.from(running);
    this.#outside = outside.map((cells) => [...cells]);
    this.#free = Int32Array.from(free);
    this.#left = Int32Array.from(waiting);
    this.#movesLeft = movesMax;
    this.#cellOf = new Uint32Array(pools.length);
    this.#pairsOf = Array.from(this.#free, () => []);
    for (let cell = 0; cell + 1 < firstOf.length; cell += 1) {
      for (let pair = firstOf[cell] ?? 0; pair < (firstOf[cell + 1] ?? 0); pair += 1) {
        this.#cellOf[pair] = cell;
        this.#pairsOf[pools[pair] ?? 0]?.push(pair);
      }
    }
  }

  /** Paths of fewest moves first, so that the budget buys most; a session beyond its limit is itself one move more. */
  plan(): BatchPlan {
    for (let movesMax = 0; movesMax <= PATH_MOVES_MAX && movesMax <= this.#movesLeft; movesMax += 1) {
      this.#placeWaiting(movesMax);
      if (movesMax > 0) this.#promote(movesMax - 1);
    }
    return { placed: this.#placed, left: this.#left, moves: this.#moves, free: this.#free };
  }

  #placeWaiting(movesMax: number): void {
    for (let cell = 0; cell < this.#left.length; cell += 1) {
      while ((this.#left[cell] ?? 0) > 0) {
        if (this.#augment(cell, Math.min(movesMax, this.#movesLeft), "waiting") === undefined) break;
        this.#left[cell] = (this.#left[cell] ?? 0) - 1;
      }
    }
  }

  #promote(movesMax: number): void {
    for (const [pool, cells] of this.#outside.entries()) {
      for (const cell of [...cells]) {
        if (this.#movesLeft < 1) return;
        const to = this.#augment(cell, Math.min(movesMax, this.#movesLeft - 1), "promoted");
        if (to === undefined) continue;
        const held = this.#outside[pool];
        held?.splice(held.indexOf(cell), 1);
        this.#free[pool] = (this.#free[pool] ?? 0) + 1;
        this.#countMove({ cell, from: pool, to });
      }
    }
  }

  /** Answers the pool that the session gets a slot of; the moves on the way are made. */
  #augment(cell: number, movesMax: number, kind: "waiting" | "promoted"): number | undefined {
    const costs = new Int32Array(this.#free.length).fill(UNREACHED);
    const steps: (Step | undefined)[] = new Array(this.#free.length);
    let queue: number[] = [];
    for (const pool of this.#poolsOf(cell)) {
      costs[pool] = 0;
      steps[pool] = { from: -1, to: pool, cell, kind };
      queue.push(pool);
    }
    for (let cost = 0; cost <= movesMax; cost += 1) {
      const later: number[] = [];
      for (let index = 0; index < queue.length; index += 1) {
        const pool = queue[index] ?? 0;
        if ((costs[pool] ?? 0) !== cost) continue;
        if ((this.#free[pool] ?? 0) > 0) return this.#apply(pool, steps);
        this.#expand(pool, cost, { costs, steps, now: queue, later });
      }
      queue = later;
    }
    return undefined;
  }

  /** Where sessions that hold a slot of `pool` could go instead. */
  #expand(
    pool: number,
    cost: number,
    to: { costs: Int32Array; steps: (Step | undefined)[]; now: number[]; later: number[] },
  ): void {
    const reach = (next: number, step: Step, at: number): void => {
      if (at >= (to.costs[next] ?? UNREACHED)) return;
      to.costs[next] = at;
      to.steps[next] = step;
      (at === cost ? to.now : to.later).push(next);
    };
    for (const pair of this.#pairsOf[pool] ?? []) {
      const cell = this.#cellOf[pair] ?? 0;
      const isBatch = (this.#placed[pair] ?? 0) > 0;
      if (!isBatch && (this.#running[pair] ?? 0) === 0) continue;
      const kind = isBatch ? "batch" : "running";
      for (const next of this.#poolsOf(cell))
        reach(next, { from: pool, to: next, cell, kind }, cost + (isBatch ? 0 : 1));
    }
    const outsider = this.#outside[pool]?.at(-1);
    if (outsider === undefined) return;
    const spare = this.#emptiest();
    if (spare >= 0) reach(spare, { from: pool, to: spare, cell: outsider, kind: "outside" }, cost + 1);
  }

  #apply(end: number, steps: readonly (Step | undefined)[]): number {
    this.#free[end] = (this.#free[end] ?? 0) - 1;
    let begin = end;
    for (let step = steps[end]; step !== undefined; step = step.from < 0 ? undefined : steps[step.from]) {
      this.#take(step);
      begin = step.to;
    }
    return begin;
  }

  #take({ from, to, cell, kind }: Step): void {
    if (kind === "outside") {
      this.#outside[from]?.pop();
      this.#outside[to]?.push(cell);
    } else {
      const held = kind === "running" || kind === "promoted" ? this.#running : this.#placed;
      this.#add(held, cell, to, 1);
      if (from >= 0) this.#add(held, cell, from, -1);
    }
    if (kind === "running" || kind === "outside") this.#countMove({ cell, from, to });
  }

  #countMove(move: { cell: number; from: number; to: number }): void {
    this.#movesLeft -= 1;
    this.#moves.push(move);
  }

  #add(held: Int32Array, cell: number, pool: number, count: number): void {
    const pair = this.#pairOf(cell, pool);
    held[pair] = (held[pair] ?? 0) + count;
  }

  #pairOf(cell: number, pool: number): number {
    const { firstOf, pools } = this.#problem;
    const pair = pools.indexOf(pool, firstOf[cell] ?? 0);
    assert(pair >= 0 && pair < (firstOf[cell + 1] ?? 0), "a session is moved only between pools within its limit");
    return pair;
  }

  #poolsOf(cell: number): Uint16Array {
    const { firstOf, pools } = this.#problem;
    return pools.subarray(firstOf[cell] ?? 0, firstOf[cell + 1] ?? 0);
  }

  #emptiest(): number {
    let best = -1;
    let most = 0;
    for (let pool = 0; pool < this.#free.length; pool += 1) {
      if ((this.#free[pool] ?? 0) > most) [best, most] = [pool, this.#free[pool] ?? 0];
    }
    return best;
  }
}
