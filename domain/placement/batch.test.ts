import fc from "fast-check";
import t from "tap";
import { type BatchProblem, planBatch } from "./batch.ts";

interface Small {
  readonly pools: number;
  /** By cell, the pools within its limit. */
  readonly reach: readonly (readonly number[])[];
  readonly waiting: readonly number[];
  readonly free: readonly number[];
  /** `[cell, pool]` of sessions that run. */
  readonly running?: readonly (readonly [number, number])[];
  readonly outside?: readonly (readonly number[])[];
  readonly movesMax: number;
}

function problemOf({ pools, reach, waiting, free, running = [], outside, movesMax }: Small): BatchProblem {
  let sum = 0;
  const firstOf = Uint32Array.from([0, ...reach.map((row) => (sum += row.length))]);
  const counts = new Int32Array(sum);
  for (const [cell, pool] of running) {
    const pair = (firstOf[cell] ?? 0) + (reach[cell]?.indexOf(pool) ?? 0);
    counts[pair] = (counts[pair] ?? 0) + 1;
  }
  const none = Array.from({ length: pools }, (): number[] => []);
  return {
    ...{ firstOf, waiting, free, movesMax, running: counts },
    pools: Uint16Array.from(reach.flat()),
    outside: outside ?? none,
  };
}

t.test("who has one pool gets it, and who has two the other, whoever comes first", (t) => {
  const plan = planBatch(problemOf({ pools: 2, reach: [[0, 1], [0]], waiting: [1, 1], free: [1, 1], movesMax: 0 }));
  t.same([...plan.left], [0, 0]);
  t.same([...plan.placed], [0, 1, 1]);
  t.same(plan.moves, []);
  t.end();
});

t.test("one that runs is moved where that gives a slot, within the budget", (t) => {
  const small = {
    ...{ pools: 2, reach: [[0], [0, 1]], waiting: [1, 0], free: [0, 1] },
    running: [[1, 0]] as const,
  };
  t.same(planBatch(problemOf({ ...small, movesMax: 0 })).left[0], 1);
  const plan = planBatch(problemOf({ ...small, movesMax: 1 }));
  t.same(plan.left[0], 0);
  t.same(plan.moves, [{ cell: 1, from: 0, to: 1 }]);
  t.end();
});

t.test("one beyond its limit makes room, or is promoted itself", (t) => {
  const makesRoom = planBatch(
    problemOf({ pools: 2, reach: [[0], []], waiting: [1, 0], free: [0, 1], outside: [[1], []], movesMax: 1 }),
  );
  t.same(makesRoom.moves, [{ cell: 1, from: 0, to: 1 }]);
  t.same(makesRoom.left[0], 0);
  const promoted = planBatch(
    problemOf({ pools: 2, reach: [[0]], waiting: [0], free: [1, 0], outside: [[], [0]], movesMax: 1 }),
  );
  t.same(promoted.moves, [{ cell: 0, from: 1, to: 0 }]);
  t.same([...promoted.free], [0, 1]);
  t.end();
});

const small: fc.Arbitrary<Small> = fc
  .record({ pools: fc.integer({ min: 1, max: 5 }), cells: fc.integer({ min: 1, max: 5 }) })
  .chain(({ pools, cells }) =>
    fc.record({
      pools: fc.constant(pools),
      reach: fc.array(fc.uniqueArray(fc.nat(pools - 1), { maxLength: pools }), { minLength: cells, maxLength: cells }),
      waiting: fc.array(fc.nat(4), { minLength: cells, maxLength: cells }),
      free: fc.array(fc.nat(4), { minLength: pools, maxLength: pools }),
      outside: fc.array(fc.array(fc.nat(cells - 1), { maxLength: 2 }), { minLength: pools, maxLength: pools }),
      movesMax: fc.nat(4),
    }),
  );

t.test("no slot is given twice, none is lost, and no more move than may", (t) => {
  fc.assert(
    fc.property(small, (of) => {
      const problem = problemOf(of);
      const plan = planBatch(problem);
      const sum = (values: ArrayLike<number>) => Array.from(values).reduce((total, value) => total + value, 0);
      const placed = sum(plan.placed);
      return (
        plan.free.every((slots) => slots >= 0) &&
        sum(plan.free) === sum(of.free) - placed &&
        placed + sum(plan.left) === sum(of.waiting) &&
        plan.moves.length <= of.movesMax
      );
    }),
    { seed: 3, numRuns: 500 },
  );
  t.pass("every generated case held");
  t.end();
});

t.test("without moves as many are placed as a maximum matching holds", (t) => {
  fc.assert(
    fc.property(small, (of) => {
      const plan = planBatch(problemOf({ ...of, movesMax: 0 }));
      return plan.placed.reduce((sum, count) => sum + count, 0) === matched(of);
    }),
    { seed: 4, numRuns: 300 },
  );
  t.pass("every generated case held");
  t.end();
});

/** Kuhn's algorithm over single sessions and slots. */
function matched({ reach, waiting, free }: Small): number {
  const slots = free.flatMap((count, pool) => Array.from({ length: count }, () => pool));
  const holder = new Array<number | undefined>(slots.length).fill(undefined);
  const sessions = waiting.flatMap((count, cell) => Array.from({ length: count }, () => cell));
  const tryPlace = (session: number, seen: Set<number>): boolean =>
    slots.some((pool, slot) => {
      if (seen.has(slot) || !(reach[sessions[session] ?? 0] ?? []).includes(pool)) return false;
      seen.add(slot);
      const other = holder[slot];
      if (other !== undefined && !tryPlace(other, seen)) return false;
      holder[slot] = session;
      return true;
    });
  return sessions.filter((_, session) => tryPlace(session, new Set())).length;
}
