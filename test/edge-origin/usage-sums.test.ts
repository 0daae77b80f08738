/** What sites were used, from the counts of an edge that is killed to the sums of an origin that hears it again and again. */
import fc from "fast-check";
import t, { type Test } from "tap";
import { toReportBatch } from "#contracts/codec/reports.ts";
import { Failure } from "#domain/failure.ts";
import { HOUR_MS } from "#domain/usage/site-usage.ts";
import { REPORT_QUEUE_MIGRATIONS, type Report, ReportQueue } from "#edge-node/reports/report-queue.ts";
import { SiteTallies } from "#edge-node/usage/site-tallies.ts";
import { USAGE_HELD_MAX, UsageReports } from "#edge-node/usage/usage-reports.ts";
import { openRecords } from "#origin/records/records.ts";
import { seededRandom } from "#platform/random.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";

const EVERY_MS = 60_000;
const COMMIT_MS = 10;
const START_MS = Date.UTC(2026, 10, 26);
const SITES = ["shop", "films"];

/** An edge that is killed and started again, on a disk that stays, and its origin. */
class World {
  readonly clock = new VirtualClock(START_MS);
  readonly records = openRecords(":memory:");
  readonly #database = openDatabase(":memory:", { migrations: REPORT_QUEUE_MIGRATIONS, durability: "full" });
  readonly #random = seededRandom(1);
  readonly #bytesMax: number;
  readonly dropped = new Map<string, number>();
  lost = 0;
  storageFailures = 0;
  isDiskFull = false;
  #lives = 0;
  #timers = new DisposableStack();
  queue: ReportQueue;
  tallies = new SiteTallies();
  usage: UsageReports;

  constructor(t?: Test, bytesMax = 2 ** 26) {
    this.#bytesMax = bytesMax;
    this.queue = this.#openQueue();
    this.usage = this.#begin();
    t?.teardown(() => this[Symbol.dispose]());
  }

  [Symbol.dispose](): void {
    this.usage[Symbol.dispose]();
    this.queue[Symbol.dispose]();
    this.#database.close();
    this.records[Symbol.dispose]();
  }

  /** What is only in memory is gone, timers included. */
  kill(): void {
    this.#timers[Symbol.dispose]();
    this.#start();
  }

  stop(): void {
    this.usage[Symbol.dispose]();
    this.queue[Symbol.dispose]();
    this.kill();
  }

  /** All that was counted is durable after it. */
  write(): void {
    this.usage.write();
    this.queue.commit();
  }

  use(site: string, requests: number): void {
    for (let turn = 0; turn < requests; turn += 1)
      this.tallies.answered(site, { cache: "hit", status: 200, sentBytes: 10 });
  }

  /** `false`: the acknowledgement does not come back. */
  deliver(isAcknowledged = true): boolean {
    const batch = this.queue.next();
    if (batch === undefined) return false;
    this.records.append("near-1", toReportBatch(batch).reports, this.clock.nowMs());
    if (isAcknowledged) this.queue.acknowledge(batch.sequence);
    return true;
  }

  deliverAll(): void {
    while (this.deliver());
  }

  sums(per: "hour" | "day" = "day") {
    return this.records.usage.read({ fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, per, rowsMax: 1e6 });
  }

  /** Requests that the origin knows of. */
  arrived(): number {
    return this.sums().reduce((sum, { counts }) => sum + (counts.hit ?? 0), 0);
  }

  #start(): void {
    this.#timers = new DisposableStack();
    this.queue = this.#openQueue();
    this.tallies = new SiteTallies();
    this.usage = this.#begin();
  }

  /** Of this life. */
  #clock(): Pick<VirtualClock, "nowMs" | "timer" | "every"> {
    const [clock, timers] = [this.clock, this.#timers];
    return {
      nowMs: () => clock.nowMs(),
      timer: (ms, run) => timers.use(clock.timer(ms, run)),
      every: (ms, run) => timers.use(clock.every(ms, run)),
    };
  }

  #openQueue(): ReportQueue {
    return new ReportQueue(this.#database, {
      ...{ clock: this.#clock(), random: this.#random, bytesMax: this.#bytesMax },
      events: {
        reportsDropped: (kind, count) => void this.dropped.set(kind, (this.dropped.get(kind) ?? 0) + count),
        reportsCommitted: () => undefined,
        reportsWaiting: () => undefined,
        storageFailed: () => undefined,
      },
    });
  }

  #begin(): UsageReports {
    this.#lives += 1;
    const { tallies, queue } = this;
    const clock = this.#clock();
    const push = (report: Report) =>
      this.isDiskFull ? Promise.reject(new Failure("disk-full", "no room")) : queue.push(report);
    return new UsageReports({
      ...{ clock, tallies, random: this.#random, everyMs: EVERY_MS, nowMs: () => clock.nowMs() },
      incarnation: `life-${this.#lives}`,
      reports: { push, commit: () => queue.commit() },
      events: {
        storageFailed: () => {
          this.storageFailures += 1;
        },
        usageLost: (requests) => {
          this.lost += requests;
        },
      },
    });
  }
}

t.test("what is counted is at the origin by the hour that it happened in, requests, statuses and bytes", async (t) => {
  const world = new World(t);
  world.use("shop", 3);
  world.tallies.answered("shop", { cache: undefined, status: 301, sentBytes: 0 });
  world.tallies.answered("shop", { cache: "uri-miss", status: 0, sentBytes: 5 });
  world.tallies.fetched("shop", "upstreamBytes", 70);
  await world.clock.advance(HOUR_MS);
  world.use("shop", 4);
  world.use("films", 1);
  await world.clock.advance(EVERY_MS + COMMIT_MS);
  world.deliverAll();
  const at = (hour: number) => START_MS + hour * HOUR_MS;
  const first = { hit: 3, none: 1, "uri-miss": 1, "2xx": 3, "3xx": 1, unanswered: 1, sentBytes: 35, upstreamBytes: 70 };
  t.match(world.sums("hour"), [
    { site: "shop", fromMs: at(0), counts: first },
    { site: "films", fromMs: at(1), counts: { hit: 1, sentBytes: 10, upstreamBytes: 0 } },
    { site: "shop", fromMs: at(1), counts: { hit: 4, "2xx": 4, none: 0, sentBytes: 40 } },
  ]);
  t.match(world.sums("day"), [
    { site: "films", fromMs: at(0), counts: { hit: 1 } },
    { site: "shop", fromMs: at(0), counts: { hit: 7, sentBytes: 75 } },
  ]);
});

t.test("what is counted up to the hour's last moment is of that hour, whenever the edge writes it down", async (t) => {
  const world = new World(t);
  await world.clock.advance(HOUR_MS - 1);
  world.use("shop", 5);
  await world.clock.advance(1);
  world.use("shop", 2);
  await world.clock.advance(EVERY_MS + COMMIT_MS);
  world.deliverAll();
  t.same(
    world.sums("hour").map(({ counts }) => counts.hit),
    [5, 2],
  );
});

t.test("cut off for two days, an edge keeps a record of each site and hour and no more", async (t) => {
  const world = new World(t);
  const hours = 2 * 24;
  for (let minute = 0; minute < hours * 60; minute += 1) {
    for (const site of SITES) world.use(site, 1);
    await world.clock.advance(60_000);
  }
  await world.clock.advance(EVERY_MS + COMMIT_MS);
  t.equal(world.queue.size, hours * SITES.length);
  world.deliverAll();
  t.equal(world.arrived(), hours * 60 * SITES.length);
});

t.test("usage is given up after everything else, and counted", async (t) => {
  const world = new World(t, 64 * 1024);
  for (let hour = 0; hour < 20; hour += 1) {
    for (const site of SITES) world.use(site, 1);
    await world.clock.advance(HOUR_MS);
  }
  for (let turn = 0; !world.dropped.has("session-ended"); turn += 1) {
    void world.queue.push({ kind: "session-ended", value: { session: `s-${turn}` } });
    world.queue.commit();
  }
  t.notOk(world.dropped.has("usage"), "a session's end goes before");
  for (let hour = 0; !world.dropped.has("usage"); hour += 1) {
    for (const site of SITES) world.use(site, 1);
    await world.clock.advance(HOUR_MS);
    if (hour > 2_000) break;
  }
  t.ok((world.dropped.get("usage") ?? 0) > 0);
  world.deliverAll();
  t.ok(world.arrived() > 20, `${world.arrived()} requests are known of`);
});

t.test("what the disk refuses is counted on, and written when there is room", async (t) => {
  const world = new World(t);
  world.isDiskFull = true;
  for (let turn = 0; turn < 3; turn += 1) {
    world.use("shop", 2);
    await world.clock.advance(EVERY_MS);
  }
  t.ok(world.storageFailures >= 2);
  world.isDiskFull = false;
  await world.clock.advance(2 * EVERY_MS);
  world.deliverAll();
  t.equal(world.arrived(), 6);
  t.equal(world.lost, 0);
});

t.test("what is held for a disk that refuses is bounded, and what is lost is counted", async (t) => {
  const world = new World(t);
  world.isDiskFull = true;
  for (let index = 0; index < USAGE_HELD_MAX + 5; index += 1) world.use(`s${index}`, 2);
  await world.clock.advance(EVERY_MS);
  t.equal(world.lost, 10);
});

t.test("many sites are written some at a time, those that are left when the edge stops with the rest", async (t) => {
  const world = new World(t);
  const sites = 500;
  const useAll = () => {
    for (let index = 0; index < sites; index += 1) world.use(`s${index}`, 1);
  };
  useAll();
  world.usage.write();
  world.queue.commit();
  t.ok(world.queue.size > 0 && world.queue.size < sites, `${world.queue.size} at once`);
  await world.clock.advance(1_000);
  t.equal(world.queue.size, sites);
  useAll();
  world.usage.write();
  useAll();
  world.stop();
  world.deliverAll();
  t.equal(world.arrived(), 3 * sites);
});

t.test("a site that nobody asks for any more is not counted by for ever", (t) => {
  const tallies = new SiteTallies();
  const first = tallies.of("shop");
  for (let turn = 0; turn < 2; turn += 1) tallies.take();
  first.add("hit", 1);
  t.equal(tallies.take().size, 0, "it was let go after two turns");
  const second = tallies.of("shop");
  second.add("hit", 1);
  t.equal(tallies.take().size, 1);
  second.add("hit", 1);
  t.equal(tallies.take().size, 1, "and not before");
  t.end();
});

type Step =
  | { readonly do: "use"; readonly site: string; readonly requests: number }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "write" | "kill" | "stop" }
  | { readonly do: "deliver"; readonly isAcknowledged: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("use" as const),
      site: fc.constantFrom(...SITES),
      requests: fc.integer({ min: 1, max: 9 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: HOUR_MS }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("write" as const, "kill" as const, "stop" as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("deliver" as const), isAcknowledged: fc.boolean() }) },
);

t.test("whatever happens, the origin's sums are what was counted, less what each kill found unwritten", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      using world = new World();
      let [durable, open] = [0, 0];
      for (const next of steps) {
        if (next.do === "use") {
          world.use(next.site, next.requests);
          open += next.requests;
        } else if (next.do === "deliver") world.deliver(next.isAcknowledged);
        else {
          if (next.do === "wait") await world.clock.advance(next.ms);
          if (next.do === "kill") world.kill();
          else if (next.do === "stop") world.stop();
          else world.write();
          durable += next.do === "kill" ? 0 : open;
          open = 0;
        }
      }
      world.stop();
      durable += open;
      world.deliverAll();
      return world.arrived() === durable && world.lost === 0 && world.dropped.size === 0;
    }),
    { numRuns: 200 },
  );
  t.pass("no steps were found that lose a count, or count twice");
});
