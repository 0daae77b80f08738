/** The contract of the log, for every adapter: `open` gives an empty one each time. */
import fc from "fast-check";
import t, { type Test } from "tap";
import type { Awaitable, LogRow, ResourceLog, WatchEvent } from "#origin/log/resource-log.ts";

type Open = () => Awaitable<ResourceLog>;

const put = (name: string, value: string, expectedRevision?: number) => ({
  kind: "Site" as const,
  name,
  ...(expectedRevision === undefined ? {} : { expectedRevision }),
  render: (revision: number) => JSON.stringify({ value, revision }),
});
const drop = (name: string) => ({ kind: "Site" as const, name, render: () => undefined });

export function logContract(suite: string, open: Open): void {
  const withLog = (sentence: string, run: (t: Test, log: ResourceLog) => Promise<void>) =>
    t.test(`${suite}: ${sentence}`, async (t) => {
      using log = await open();
      await run(t, log);
    });

  withLog("revisions are global, grow by one and are never used twice", async (t, log) => {
    await log.write([put("a", "1"), put("b", "1")]);
    await log.write([drop("b")]);
    t.equal(log.revision(), 3);
    await log.compact(3);
    t.equal((await log.write([put("c", "1")]))[0]?.revision, 4);
  });

  withLog("a write against another version is refused and none of its batch is kept", async (t, log) => {
    await log.write([put("a", "1", 0)]);
    await t.rejects(async () => log.write([put("b", "1"), put("a", "2", 0)]), { code: "resource-conflict" });
    t.equal(log.revision(), 1);
    await t.rejects(async () => log.write([drop("b")]), { code: "not-found" });
    t.equal((await log.write([put("a", "2", 1)]))[0]?.revision, 2);
  });

  withLog("a list at a revision is what was there then", async (t, log) => {
    await log.write([put("a", "1"), put("b", "1"), put("a", "2"), drop("b")]);
    const at = (revision: number) => log.list({ at: revision }).rows.map((row) => [row.name, row.revision]);
    t.same(at(2), [
      ["a", 1],
      ["b", 2],
    ]);
    t.same(at(4), [["a", 3]]);
    t.throws(() => log.list({ at: 5 }), { code: "argument-invalid" });
  });

  withLog("below the compaction floor lists and watches answer revision-compacted", async (t, log) => {
    await log.write([put("a", "1"), put("a", "2"), put("a", "3")]);
    await log.compact(2);
    t.throws(() => log.list({ at: 1 }), { code: "revision-compacted" });
    await t.rejects(take(log, 1, 1), { code: "revision-compacted" });
    t.same(
      (await take(log, 2, 1)).map((event) => event.kind === "row" && event.row.revision),
      [3],
    );
  });

  withLog("a watch gives what came before and after it began, once, and a bookmark", async (t, log) => {
    await log.write([put("a", "1"), put("a", "2")]);
    const events = take(log, 1, 4);
    await new Promise((resolve) => setImmediate(resolve));
    await log.write([put("b", "1")]);
    t.same(
      (await events).map((event) => (event.kind === "row" ? event.row.revision : `to ${event.revision}`)),
      [2, "to 2", 3, "to 3"],
    );
  });

  withLog("an aborted watch ends", async (t, log) => {
    const stop = new AbortController();
    const end = (async () => {
      for await (const event of log.watch(0, stop.signal)) t.equal(event.kind, "bookmark");
    })();
    await new Promise((resolve) => setImmediate(resolve));
    stop.abort();
    await end;
  });

  keptContract(suite, open);
  heldContract(suite, open);
  replayContract(suite, open);
}

function keptContract(suite: string, open: Open): void {
  t.test(`${suite}: what is kept with a write outlives compaction, and none of a refused write is kept`, async (t) => {
    using log = await open();
    t.equal(log.kept("count"), 0);
    await log.write([put("a", "1")], { name: "count", value: 7 });
    await t.rejects(async () => log.write([drop("b")], { name: "count", value: 8 }), { code: "not-found" });
    await log.compact(1);
    t.equal(log.kept("count"), 7);
    await log.write([put("a", "2")], { name: "count", value: 9 });
    t.equal(log.kept("count"), 9);
    t.equal(log.kept("compacted"), 0, "a name of the log's own is another");
  });
}

function heldContract(suite: string, open: Open): void {
  t.test(
    `${suite}: a revision that is held is listed as it was, whatever is compacted later, and changes nothing else`,
    async (t) => {
      const step = fc.record({
        name: fc.constantFrom("a", "b", "c"),
        op: fc.constantFrom("put", "put", "drop", "compact", "hold"),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
          using log = await open();
          const held = new Map<number, readonly LogRow[]>();
          const live = new Map<string, number>();
          for (const { name, op } of steps) {
            if (op === "put") live.set(name, (await log.write([put(name, op)]))[0]?.revision ?? 0);
            if (op === "drop" && live.delete(name)) await log.write([drop(name)]);
            if (op === "hold" && held.size < 3) held.set(log.revision(), log.list().rows);
            if (op === "compact") await log.compact(log.revision(), [...held.keys()]);
            checkHeld(t, log, { held, live, said: `after ${JSON.stringify(steps)}` });
          }
          await log.write([put("a", "last")]);
          await log.compact(log.revision());
          for (const at of held.keys()) {
            if (at < log.revision()) t.throws(() => log.list({ at }), { code: "revision-compacted" });
          }
        }),
        { numRuns: 40 },
      );
    },
  );
}

interface Expected {
  readonly held: ReadonlyMap<number, readonly LogRow[]>;
  readonly live: ReadonlyMap<string, number>;
  readonly said: string;
}

function checkHeld(t: Test, log: ResourceLog, { held, live, said }: Expected): void {
  for (const [at, rows] of held) {
    t.same(log.list({ at }).rows, rows, said);
    for (const row of rows) t.same(log.findAt("Site", row.name, at), row, said);
  }
  const now = [...live].sort(([a], [b]) => (a < b ? -1 : 1));
  t.same(
    log.list().rows.map((row) => [row.name, row.revision]),
    now,
    said,
  );
}

function replayContract(suite: string, open: Open): void {
  t.test(`${suite}: replaying the watch from any revision kept gives the list`, async (t) => {
    const step = fc.record({
      name: fc.constantFrom("a", "b", "c", "d"),
      op: fc.constantFrom("put", "drop", "compact"),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), fc.nat(), async (steps, pick) => {
        using log = await open();
        for (const { name, op } of steps) {
          if (op === "put") await log.write([put(name, op)]);
          if (op === "drop" && log.find("Site", name) !== undefined) await log.write([drop(name)]);
          if (op === "compact") await log.compact(Math.floor((log.revision() + log.compactedRevision()) / 2));
        }
        const floor = log.compactedRevision();
        const from = floor + (pick % (log.revision() - floor + 1));
        const state = new Map(log.list({ at: from }).rows.map((row) => [row.name, row]));
        for await (const event of log.watch(from, new AbortController().signal)) {
          if (event.kind === "bookmark") break;
          apply(state, event.row);
        }
        const replayed = [...state.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
        t.same(replayed, log.list().rows, `from ${from} of ${JSON.stringify(steps)}`);
      }),
      { numRuns: 60 },
    );
  });
}

function apply(state: Map<string, LogRow>, row: LogRow): void {
  if (row.deleted) state.delete(row.name);
  else state.set(row.name, row);
}

async function take(log: ResourceLog, from: number, count: number): Promise<WatchEvent[]> {
  const events: WatchEvent[] = [];
  for await (const event of log.watch(from, new AbortController().signal)) {
    events.push(event);
    if (events.length === count) break;
  }
  return events;
}
