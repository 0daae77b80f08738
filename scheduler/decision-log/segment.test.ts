import fc from "fast-check";
import t from "tap";
import { visitPools } from "#domain/placement/decision-record.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import type { DecisionRecord, SessionDecisionRecord } from "../explain/explain-store.ts";
import { ByteWriter } from "./bytes.ts";
import { ENTRY_HEAD_BYTES, type Entry, SEGMENT_HEADER_BYTES, segmentHeader, walkEntries } from "./entries.ts";
import { anyDecision, candidate, decisionId, sessionDecision } from "./log-world.test.ts";
import { LogReplay } from "./replay-log.ts";
import { ENTRY_BYTES_MAX, SegmentEncoder } from "./segment-encoder.ts";
import { findLast, readDecision, visitSegment } from "./segment-reader.ts";

const unstated = (ids: PoolIds) => ({ poolName: (id: number) => ids.nameOf(id), findPool: () => undefined });

function segmentOf(records: readonly SessionDecisionRecord[], ids: PoolIds): Buffer {
  const out = new ByteWriter();
  out.append(segmentHeader());
  const encoder = new SegmentEncoder(unstated(ids));
  for (const record of records) encoder.encode(record, out);
  return Buffer.from(out.written);
}

/** With the names of its steps' pools in place of their numbers. */
function readAll(bytes: Buffer) {
  const records: DecisionRecord[] = [];
  const pools: string[][] = [];
  const ended = visitSegment(bytes, (entry, names) => {
    const record = readDecision(bytes, entry, names);
    records.push(record);
    if (record.kind === "session") pools.push(record.steps.flatMap((step) => poolsOf(step.record, names.poolName)));
  });
  return { records, pools, ...ended };
}

function poolsOf(record: Uint8Array, poolName: (id: number) => string): string[] {
  const names: string[] = [];
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  visitPools(view, 0, (pool) => names.push(poolName(pool)));
  return names;
}

t.test("whatever is decided is read from its segment alone as it was", async (t) => {
  const ids = new PoolIds();
  const holds = fc.property(fc.array(anyDecision(ids), { maxLength: 8 }), (decisions) => {
    const { records, pools, faults, end } = readAll(segmentOf(decisions, ids));
    t.strictSame(
      records.map((record) => (record.kind === "session" ? { ...record, steps: record.steps.map(plain) } : record)),
      decisions.map((record) => ({ ...record, steps: record.steps.map(plain) })),
    );
    t.strictSame(
      pools,
      decisions.map(({ steps }) => steps.flatMap(({ record }) => poolsOf(record, (id) => ids.nameOf(id)))),
    );
    return faults.length === 0 && end.kind === "whole";
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 100 }));
});

function plain<S extends { readonly record: Uint8Array }>(step: S) {
  return { ...step, record: Buffer.from(step.record).toString("hex") };
}

t.test("a pool's number that is given anew is read as of then", async (t) => {
  const ids = new PoolIds(2);
  const out = new ByteWriter();
  out.append(segmentHeader());
  const encoder = new SegmentEncoder(unstated(ids));
  for (const pools of [
    ["a", "b"],
    ["c", "b"],
    ["a", "c"],
  ]) {
    encoder.encode(
      sessionDecision(
        ids,
        pools.map((pool) => candidate(pool, 4)),
      ),
      out,
    );
  }
  t.same(readAll(out.written).pools, [
    ["a", "b"],
    ["b", "c"],
    ["a", "c"],
  ]);
});

const THREE = [4, 9, 60].map((rttMs, index) => ({ rttMs, id: decisionId(index + 1), session: `s-${index % 2}` }));

function threeDecisions() {
  const ids = new PoolIds();
  const decisions = THREE.map(({ rttMs, ...changes }) =>
    sessionDecision(ids, [candidate("near", rttMs), candidate("far", 50)], { ...changes, notes: ["far: a note"] }),
  );
  return segmentOf(decisions, ids);
}

t.test("a segment that ends anywhere gives what was whole before, and says where it was torn", async (t) => {
  const bytes = threeDecisions();
  const starts: number[] = [];
  walkEntries(bytes, ({ kind, offset }) => (kind === "session" ? starts.push(offset) : 0));
  const ends: number[] = [SEGMENT_HEADER_BYTES];
  walkEntries(bytes, ({ bodyEnd }) => ends.push(bodyEnd));
  t.equal(starts.length, 3);
  for (let length = 0; length < bytes.length; length += 1) {
    const { records, faults, end } = readAll(bytes.subarray(0, length));
    const wholeEnd = ends.filter((at) => at <= length).at(-1) ?? 0;
    const complete = ends.slice(1).filter((at, index) => at <= length && starts.includes(ends[index] ?? -1)).length;
    t.equal(records.length, complete, `decisions within ${length} bytes`);
    t.same(faults, [], `faults within ${length} bytes`);
    t.same(
      end,
      length > 0 && length === wholeEnd ? { kind: "whole" } : { kind: "torn", offset: wholeEnd },
      `end at ${length}`,
    );
    const grown = Buffer.concat([bytes.subarray(0, wholeEnd), Buffer.alloc(40)]);
    t.equal(readAll(grown).end.kind, "torn", `zeros after ${wholeEnd} bytes`);
  }
});

t.test("a byte that was changed is found wherever it is, and what stands before it is read", async (t) => {
  const bytes = threeDecisions();
  const entries: Entry[] = [];
  walkEntries(bytes, (entry) => entries.push(entry));
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
    const { records, faults } = readAll(changed);
    const entry = entries.find(({ bodyEnd }) => at < bodyEnd);
    const offset = at < SEGMENT_HEADER_BYTES ? 0 : (entry?.offset ?? 0);
    t.same(
      faults.map((fault) => fault.offset),
      [offset],
      `byte ${at}`,
    );
    const isOfBody = at - offset >= ENTRY_HEAD_BYTES;
    const before = at < SEGMENT_HEADER_BYTES ? 0 : readAll(bytes.subarray(0, offset)).records.length;
    const others = entry?.kind === "session" ? 2 : 3;
    t.equal(records.length, isOfBody ? others : before, `decisions read beside byte ${at}`);
  }
});

t.test("the last decision of those that match is found with its names", async (t) => {
  const bytes = threeDecisions();
  const found = findLast(bytes, ({ kind }) => kind === "session");
  t.match(found?.record, { id: decisionId(3), session: "s-0", app: "hall", outcome: { pool: undefined } });
  t.equal(
    findLast(bytes, () => false),
    undefined,
  );
});

t.test("a decision longer than an entry may be is not written, its names are", async (t) => {
  const ids = new PoolIds();
  const short = sessionDecision(ids, [candidate("near", 4)]);
  const lengthOf = (record: SessionDecisionRecord) => {
    let longest = 0;
    walkEntries(segmentOf([record], ids), ({ kind, bodyAt, bodyEnd }) => {
      if (kind === "session") longest = bodyEnd - bodyAt;
    });
    return longest;
  };
  const room = ENTRY_BYTES_MAX - lengthOf({ ...short, notes: [""] });
  t.equal(lengthOf({ ...short, notes: ["x".repeat(room)] }), ENTRY_BYTES_MAX);
  const { records, end } = readAll(segmentOf([{ ...short, notes: ["x".repeat(room + 1)] }, short], ids));
  t.same([records.length, end.kind], [1, "whole"]);
});

t.test("a replay decides each record again and names what comes out otherwise", async (t) => {
  const ids = new PoolIds();
  const near = [candidate("near", 4), candidate("far", 12)];
  const decision = sessionDecision(ids, near, { id: decisionId(1) });
  const whole = new LogReplay();
  whole.replaySegment(segmentOf([decision, sessionDecision(ids, [candidate("near", 99)])], ids), "a");
  t.match(whole, { sessions: 2, steps: 2, mismatched: 0, faulty: 0, torn: 0 });

  const [step] = decision.steps;
  if (step === undefined) throw new TypeError("a decision has a step");
  const otherwise = Buffer.from(step.record);
  // The score of the first row, by its last bit.
  otherwise[84 + 32] = (otherwise[84 + 32] ?? 0) ^ 1;
  const told = { state: "placed", pool: "far", renderClass: "small", marginMs: 8 } as const;
  const farther = { ...decision, id: decisionId(3), outcome: told };
  const changed = { ...decision, id: decisionId(2), steps: [{ ...step, record: otherwise }] };
  const replay = new LogReplay();
  const bytes = segmentOf([decision, changed, farther], ids);
  replay.replaySegment(bytes, "b");
  t.match(replay, { sessions: 3, mismatched: 2 });
  t.match(replay.mismatches, [
    { decision: decisionId(2), file: "b", reason: "step 1 of 1 comes out otherwise: placed, near" },
    { decision: decisionId(3), file: "b", reason: "the steps choose near" },
  ]);
});

t.test("a choice by what was expected is replayed from what was expected, and not without", async (t) => {
  const ids = new PoolIds();
  const two = [candidate("near", 4, { expectedSessions: 56.3 }), candidate("spared", 4.5, { expectedSessions: 7 })];
  const decision = sessionDecision(ids, two, { id: decisionId(1) });
  t.match(decision.outcome, { pool: "spared", marginMs: -0.5 });
  const [step] = decision.steps;
  if (step === undefined) throw new TypeError("a decision has a step");
  const forgotten = Buffer.from(step.record);
  for (const row of [0, 1]) forgotten.writeFloatLE(0, 84 + 70 * row + 66);
  const replay = new LogReplay();
  const without = { ...decision, id: decisionId(2), steps: [{ ...step, record: forgotten }] };
  replay.replaySegment(segmentOf([decision, without], ids), "a");
  t.match(replay, { sessions: 2, mismatched: 1 });
  t.match(replay.mismatches, [{ decision: decisionId(2), reason: "step 1 of 1 comes out otherwise: placed, near" }]);
});

t.test("of very many that come out otherwise some are named and all are counted", async (t) => {
  const ids = new PoolIds();
  const told = { state: "placed", pool: "far", renderClass: "small", marginMs: 1 } as const;
  const wrong = Array.from({ length: 25 }, (_, index) =>
    sessionDecision(ids, [candidate("near", 4)], { id: decisionId(index), outcome: told }),
  );
  const replay = new LogReplay();
  replay.replaySegment(segmentOf(wrong, ids), "a");
  t.same([replay.mismatched, replay.mismatches.length, replay.mismatches[19]?.decision], [25, 20, decisionId(19)]);
});
