/** What of a log a day is made: who asked, what pools were, and when sessions ended, of each segment alone. */
import t from "tap";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import type { StatedPool } from "#domain/simulation/fleet-pools.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { testFolder } from "../../test/test-folder.ts";
import type { SessionDecisionRecord } from "../explain/explain-store.ts";
import { ByteWriter } from "./bytes.ts";
import { segmentHeader, walkEntries } from "./entries.ts";
import { candidate, decisionId, openLog, sessionDecision } from "./log-world.test.ts";
import { RecordedLog } from "./recorded-log.ts";
import { SegmentEncoder } from "./segment-encoder.ts";

const START_MS = 1_700_000_000_000;
const stated = (labels: Readonly<Record<string, string>>, region = "eu"): StatedPool => ({
  metadata: { name: "near", labels },
  spec: { region, coordinates: { latitude: 38.7, longitude: -9.1 } },
});

class Writer {
  readonly ids = new PoolIds();
  pool: StatedPool | undefined = stated({ gpu: "l40s" });
  readonly out = new ByteWriter();
  readonly #encoder = new SegmentEncoder({
    poolName: (id) => this.ids.nameOf(id),
    findPool: (name) => (name === "near" ? this.pool : undefined),
  });

  constructor() {
    this.out.append(segmentHeader());
  }

  decide(seconds: number, changes: Partial<SessionDecisionRecord> = {}, slotsTotal = 10): void {
    const pools = [candidate("near", 4.5, { slotsTotal }), candidate("far", 50, { rttSource: "history" })];
    const record = sessionDecision(this.ids, pools, { atMs: START_MS + 1000 * seconds, ...changes });
    this.#encoder.encode(record, this.out);
  }

  end(session: string, seconds: number): void {
    this.#encoder.encode({ kind: "ended", session, atMs: START_MS + 1000 * seconds }, this.out);
  }

  countPools(): number {
    const kinds: string[] = [];
    walkEntries(this.out.written, ({ kind }) => kinds.push(kind));
    return kinds.filter((kind) => kind === "pool").length;
  }
}

function logOf(...writers: readonly Writer[]): RecordedLog {
  const log = new RecordedLog();
  for (const [at, { out }] of writers.entries()) log.takeSegment(Buffer.from(out.written), `${at}.segment`);
  return log;
}

t.test("a session is who asked, what it measured, where it got and when it ended", async (t) => {
  const writer = new Writer();
  writer.decide(0, { coordinates: { latitude: 38, longitude: -9 } });
  writer.decide(20, { because: "promotion", outcome: { state: "kept", because: "best", pool: "near", marginMs: 1 } });
  writer.end("s-1", 31);
  writer.decide(5, { session: "s-2", outcome: { state: "queued", bestAchievableMs: 41 }, asker: {}, tier: "relaxed" });
  const log = logOf(writer);
  t.match(log, { decisions: 3, faulty: 0, torn: 0 });
  const [first, second, ...rest] = log.sessions.list();
  t.same(rest, []);
  t.same(first, {
    ...{ session: "s-1", isNew: true, begunMs: START_MS, heardMs: START_MS + 20_000, endedMs: START_MS + 31_000 },
    placed: { atMs: START_MS, pool: "near" },
    facts: {
      ...{ app: "hall", tier: "strict", group: "prefix:192.0.2.0/24", coordinates: { latitude: 38, longitude: -9 } },
      client: { tenant: "acme", country: "PT", asn: 64_500, address: "192.0.2.0" },
      device: { decodeMs: 3, jitterMs: 1 },
      rtts: new Map([
        ["far", { rttMs: 50, source: "history" }],
        ["near", { rttMs: 4.5, source: "measured" }],
      ]),
    },
  });
  t.match(second, { session: "s-2", isNew: true, placed: undefined, endedMs: undefined, facts: { tier: "relaxed" } });
  t.equal(second?.facts.client.address, undefined);
});

t.test(
  "pools are named with their labels in each segment, again when those change, and not when they are the same",
  async (t) => {
    const [one, two] = [new Writer(), new Writer()];
    one.decide(0);
    t.equal(one.countPools(), 2);
    one.pool = stated({ gpu: "l40s" });
    one.decide(1);
    t.equal(one.countPools(), 2, "another object that says the same");
    one.pool = stated({ gpu: "a10" }, "us");
    one.decide(2, {}, 12);
    t.equal(one.countPools(), 3);
    one.pool = undefined;
    one.decide(3);
    t.equal(one.countPools(), 3, "one that is gone is what it was");
    two.decide(9);
    const statement = { coordinates: { latitude: 38.7, longitude: -9.1 } };
    t.match(logOf(one).pools.find("near"), { ...statement, labels: { gpu: "a10" }, region: "us" });
    t.match(logOf(two).pools.find("near"), { ...statement, labels: { gpu: "l40s" }, region: "eu" });
    t.match(logOf(two, one).pools.find("near"), { region: "eu" }, "the last by time, in whatever order");
    const [near, ...others] = logOf(one).pools.list();
    t.same(others, [], "of the other nobody said where it is");
    t.match(near, {
      name: "near",
      reachable: true,
      classes: [{ renderClass: "small", slots: 10, renderEncodeMsP95: 8 }],
    });
    const written = logOf(one).pools.list([stated({ gpu: "h100" }, "asia")]);
    t.match(written, [{ labels: { gpu: "h100" }, region: "asia", classes: [{ slots: 10 }] }]);
    t.same(logOf(one).pools.names, ["far", "near"]);
  },
);

t.test("a decision whose names were damaged before it is no session of the day, and is counted", async (t) => {
  const writer = new Writer();
  writer.decide(0);
  const bytes = Buffer.from(writer.out.written);
  const words: number[] = [];
  walkEntries(bytes, ({ kind, bodyEnd }) => (kind === "word" ? words.push(bodyEnd) : 0));
  for (const end of words) bytes[end - 1] = (bytes[end - 1] ?? 0) ^ 1;
  const log = new RecordedLog();
  log.takeSegment(bytes, "one.segment");
  t.match(log, { decisions: 0, faulty: words.length + 1, unread: [] });
  t.same(log.sessions.list(), []);
});

t.test("the end of a session is no decision: none is counted, and the last decision is found as before", async (t) => {
  const folder = testFolder(t);
  const opened = await openLog(folder, new VirtualClock());
  opened.log.appendSession(sessionDecision(opened.ids, [candidate("near", 4)], { id: decisionId(7) }));
  opened.log.appendEnded({ session: "s-1", atMs: START_MS });
  await opened.log.flush();
  t.same(opened.told, ["logged 1"]);
  t.match((await opened.log.findSession("s-1"))?.record, { id: decisionId(7) });
  t.equal(await opened.log.find("d-AAAAAAAAAAAA"), undefined, "nor by the id that an end has not");
  await opened.log[Symbol.asyncDispose]();
});
