/** A log put back from a backup and gone on from there is told from the one that a node has followed. */
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import { decodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { checkContinues } from "#contracts/codec/set-state.ts";
import { isOfHistory, type PoolBatch, timelinesOf, type Watermark } from "#domain/desired-state.ts";
import { isFailure } from "#domain/failure.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { testFolder } from "#test/test-folder.ts";
import { Distribution, type Envelope } from "../node-rpc/distribution.ts";
import { TIMELINES_MAX, withTimeline } from "./resource-log.ts";
import { writeResource } from "./resources.ts";
import { openSqliteLog } from "./sqlite-log.ts";

const KEY = generateSigningKey();

/** A log's file, its process and its backup, with the same beside it as plain lists of what was written. */
class Machine implements Disposable {
  readonly #path: string;
  #starts = 0;
  #writes = 0;
  #backup: readonly number[] | undefined;
  written: readonly number[] = [];
  log: ReturnType<typeof openSqliteLog>;

  constructor(folder: string) {
    this.#path = join(folder, "log.sqlite");
    rmSync(this.#path, { force: true });
    this.log = this.#open();
  }

  write(): void {
    this.#writes += 1;
    const spec = { sites: [`site-${this.#writes}`], prefetch: "none" as const };
    writeResource(this.log, { kind: "ContentPolicy", metadata: { name: "a", labels: {} }, spec }, 1);
    this.written = [...this.written, this.#writes];
  }

  restart(): void {
    this.log[Symbol.dispose]();
    this.log = this.#open();
  }

  backUp(): void {
    this.log[Symbol.dispose]();
    cpSync(this.#path, `${this.#path}.backup`);
    this.#backup = this.written;
    this.log = this.#open();
  }

  restore(): void {
    if (this.#backup === undefined) return;
    this.log[Symbol.dispose]();
    cpSync(`${this.#path}.backup`, this.#path);
    this.written = this.#backup;
    this.log = this.#open();
  }

  [Symbol.dispose](): void {
    this.log[Symbol.dispose]();
  }

  #open() {
    this.#starts += 1;
    return openSqliteLog(this.#path, `start-${this.#starts}`);
  }
}

function received(log: Machine["log"], watermark?: Watermark): readonly PoolBatch[] {
  const batches: PoolBatch[] = [];
  const push = ({ payload }: Envelope) => void batches.push(decodePoolBatch(payload));
  new Distribution(log, KEY).subscribe("near", watermark, { push })[Symbol.dispose]();
  return batches;
}

function isTaken(watermark: Watermark, batch: PoolBatch): boolean {
  try {
    checkContinues(watermark, batch);
    return true;
  } catch (error) {
    if (isFailure(error, "epoch-regressed")) return false;
    throw error;
  }
}

t.test("a node takes from a log what goes on from what it holds, and nothing else", (t) => {
  const folder = testFolder(t);
  const step = fc.constantFrom("write", "write", "restart", "backUp", "restore", "look");
  fc.assert(
    fc.property(fc.array(step, { minLength: 6, maxLength: 24 }), (steps) => {
      using machine = new Machine(folder);
      const seen: { readonly watermark: Watermark; readonly written: readonly number[] }[] = [];
      for (const action of steps) {
        if (action !== "look") machine[action]();
        else {
          const last = received(machine.log).at(-1);
          const timeline = last?.timelines?.at(-1)?.id;
          if (last === undefined || last.to === 0) continue;
          const watermark = { epoch: 1, revision: last.to, setDigest: last.setDigest, ...(timeline && { timeline }) };
          seen.push({ watermark, written: machine.written });
        }
      }
      for (const { watermark, written } of seen) {
        const isOf = written.every((value, index) => machine.written[index] === value);
        const [first] = received(machine.log, watermark);
        const what = JSON.stringify({ watermark, written, now: machine.written });
        if (first !== undefined) t.equal(isTaken(watermark, first), isOf, what);
        else t.ok(isOf, `nothing lacks: ${what}`);
        t.equal(new Distribution(machine.log, KEY).isBehind(watermark), !isOf, what);
      }
    }),
    { numRuns: 60 },
  );
  t.pass("of every history");
  t.end();
});

t.test("a start that writes nothing begins no timeline, and the oldest of very many are forgotten", (t) => {
  const folder = testFolder(t);
  using machine = new Machine(folder);
  machine.restart();
  machine.restart();
  machine.write();
  machine.write();
  t.same(machine.log.timelines(), [{ id: "start-3", after: 0 }]);
  machine.restart();
  t.same(machine.log.timelines(), [{ id: "start-3", after: 0 }]);
  let timelines = machine.log.timelines();
  for (let start = 1; start <= TIMELINES_MAX; start += 1)
    timelines = withTimeline(timelines, { id: `${start}`, after: start });
  t.equal(timelines.length, TIMELINES_MAX);
  t.ok(isOfHistory({ revision: 1, timeline: "start-3" }, timelines), "forgotten is not refused");
  t.notOk(isOfHistory({ revision: 2, timeline: "start-3" }, timelines), "but what it did not write is");
  t.end();
});

t.test("a batch says the timelines of its own revisions, a snapshot all up to its own", (t) => {
  const all = [1, 4, 9].map((after) => ({ id: `after-${after}`, after }));
  const ids = (from: number, to: number, snapshot = false) =>
    timelinesOf({ from, to, snapshot }, all).map(({ id }) => id);
  t.same(ids(5, 9), ["after-4"]);
  t.same(ids(4, 10), ["after-1", "after-4", "after-9"]);
  t.same(ids(9, 10), ["after-4", "after-9"]);
  t.same(ids(0, 9, true), ["after-1", "after-4"]);
  t.same(ids(1, 2), ["after-1"], "what came before the first is not known");
  t.end();
});
