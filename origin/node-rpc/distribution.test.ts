/** Who was away gets what it lacks: batches signed already, changes made for all its siblings once, or the whole. */
import t from "tap";
import { decodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { advance, checkContinues, EMPTY_SET, type SetState, withPart } from "#contracts/codec/set-state.ts";
import type { PoolBatch } from "#domain/desired-state.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { writeResource } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { CATCH_UP_ROWS_MAX, Distribution, type Envelope, RECENT_BATCHES_MAX } from "./distribution.ts";

/** A copy of the pool's set, as an edge has it. */
class Copy {
  state: SetState = EMPTY_SET;
  readonly taken: Envelope[] = [];
  #parts: readonly { batch: PoolBatch }[] = [];

  push(envelope: Envelope): void {
    this.taken.push(envelope);
    const batch = decodePoolBatch(envelope.payload);
    checkContinues(this.state, batch);
    this.#parts = withPart(this.#parts, { batch });
    if (!batch.last) return;
    this.state = advance(
      this.state,
      this.#parts.map((part) => part.batch),
    );
    this.#parts = [];
  }
}

function open() {
  const log = openSqliteLog(":memory:");
  const distribution = new Distribution(log, generateSigningKey());
  const assign = (name: string, pool = "near") => {
    const spec = { pool, sites: [`site-${log.revision()}`], apps: [] };
    writeResource(log, { kind: "Assignment", metadata: { name, labels: {} }, spec }, 1);
    distribution.advance();
  };
  /** What the copy gets when its node comes back; it has left again then. */
  const visit = (copy: Copy): readonly Envelope[] => {
    const had = copy.taken.length;
    const { epoch, revision, setDigest } = copy.state;
    const watermark = revision === 0 ? undefined : { epoch, revision, setDigest };
    distribution.subscribe("near", watermark, copy)[Symbol.dispose]();
    return copy.taken.slice(had);
  };
  return { log, distribution, assign, visit };
}

const isSnapshot = ([first]: readonly Envelope[]) => first !== undefined && decodePoolBatch(first.payload).snapshot;
const namesIn = (copy: Copy) => [...copy.state.resources.keys()].sort();

t.test("what was sent while a node was away is sent again as it was signed", (t) => {
  const { distribution, assign, visit } = open();
  const [present, away] = [new Copy(), new Copy()];
  assign("a");
  using _standing = distribution.subscribe("near", undefined, present);
  t.ok(isSnapshot(visit(away)));
  assign("b");
  assign("elsewhere", "far");
  assign("a");
  t.same(visit(away), present.taken.slice(1), "the very same");
  t.same(away.state, present.state);
  t.same(namesIn(away), ["Assignment/a", "Assignment/b"]);
  t.same(visit(away), [], "nothing is lacking");
  t.end();
});

t.test("who was away for longer gets one batch of what is left of the changes, made once for all siblings", (t) => {
  const { log, distribution, assign, visit } = open();
  const [present, away, sibling] = [new Copy(), new Copy(), new Copy()];
  using _standing = distribution.subscribe("near", undefined, present);
  for (const name of ["a", "b"]) assign(name);
  for (const copy of [away, sibling]) visit(copy);
  log.write([{ kind: "Assignment", name: "b", render: () => undefined }]);
  for (let count = 0; count <= RECENT_BATCHES_MAX; count += 1) assign("a");
  assign("c");
  const lacking = visit(away);
  t.equal(lacking.length, 1);
  t.match(decodePoolBatch(lacking[0]?.payload ?? new Uint8Array()), {
    snapshot: false,
    rows: [
      { name: "b", resource: undefined },
      { name: "a", revision: log.revision() - 1 },
      { name: "c", revision: log.revision() },
    ],
  });
  t.equal(visit(sibling)[0], lacking[0], "signed once");
  t.same(away.state, present.state);
  assign("d");
  visit(away);
  t.same(away.state, present.state, "and goes on from there");
  t.end();
});

t.test("the whole is sent to who holds something else, was away too long, or before what is kept", (t) => {
  const { log, assign, visit } = open();
  const copies = { liar: new Copy(), late: new Copy(), compacted: new Copy(), other: new Copy() };
  assign("a");
  for (const copy of Object.values(copies)) visit(copy);
  copies.liar.state = { ...copies.liar.state, setDigest: "0".repeat(64) };
  copies.other.state = { ...copies.other.state, epoch: 0 };
  assign("b");
  for (const copy of [copies.liar, copies.other]) t.ok(isSnapshot(visit(copy)));
  const spec = { pool: "near", sites: [], apps: [] };
  log.write(
    Array.from({ length: CATCH_UP_ROWS_MAX }, (_, index) => {
      const name = `many-${index}`;
      const metadata = (revision: number) => {
        return { name, labels: {}, generation: 1, resourceVersion: revision, createdAtMs: 1 };
      };
      const stored = { apiVersion: "perigee.dev/v1", kind: "Assignment" as const, spec };
      const render = (revision: number) => JSON.stringify({ ...stored, metadata: metadata(revision) });
      return { kind: "Assignment" as const, name, render };
    }),
  );
  t.ok(isSnapshot(visit(copies.late)), `more than ${CATCH_UP_ROWS_MAX} rows later`);
  log.compact(log.revision());
  t.ok(isSnapshot(visit(copies.compacted)));
  t.end();
});
