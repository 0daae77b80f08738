import fc from "fast-check";
import t, { type Test } from "tap";
import { isFailure } from "#domain/failure.ts";
import { systemRandom } from "#platform/random.ts";
import { type Database, openDatabase } from "#platform/sqlite/database.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { BATCH_REPORTS_MAX, REPORT_QUEUE_MIGRATIONS, type Report, ReportQueue } from "./report-queue.ts";

const MEBIBYTE = 1024 * 1024;
const COMMIT_MS = 10;
const quality = (session: string, more: object = {}): Report => ({
  kind: "session-quality",
  subject: `${session}/1`,
  value: { session, remotePathMsP50: 10, remotePathMsP95: 20, framesDecoded: 1, ...more },
});
const ended = (session: string): Report => ({ kind: "session-ended", value: { session } });

/** A queue whose process may be ended and begun again, and an origin that keeps each record once by its id. */
class Edge {
  readonly clock = new VirtualClock();
  readonly dropped = new Map<string, number>();
  readonly arrived = new Map<string, { kind: string; value: Record<string, unknown> }>();
  readonly #bytesMax: number;
  readonly database: Database;
  commits = 0;
  /** As the gauge has it. */
  waiting: number | undefined;
  queue: ReportQueue;

  constructor(t: Test | undefined, bytesMax = 64 * MEBIBYTE, path = ":memory:") {
    this.#bytesMax = bytesMax;
    this.database = openDatabase(path, { migrations: REPORT_QUEUE_MIGRATIONS, durability: "full" });
    t?.teardown(() => this.database.close());
    this.queue = this.#open();
  }

  /** What was not committed is gone with the process. */
  restart(): void {
    this.queue = this.#open();
  }

  #open(): ReportQueue {
    return new ReportQueue(this.database, {
      clock: this.clock,
      random: systemRandom,
      bytesMax: this.#bytesMax,
      events: {
        reportsDropped: (kind, count) => void this.dropped.set(kind, (this.dropped.get(kind) ?? 0) + count),
        reportsCommitted: () => {
          this.commits += 1;
        },
        reportsWaiting: (waiting) => {
          this.waiting = waiting;
        },
        storageFailed: (error) => {
          throw error;
        },
      },
    });
  }

  /** Codes of what was refused, "kept" for what was acknowledged. */
  async push(...reports: readonly Report[]): Promise<readonly string[]> {
    const pushing = reports.map((report) =>
      this.queue.push(report).then(
        () => "kept",
        (error: unknown) => (isFailure(error) ? error.code : String(error)),
      ),
    );
    this.queue.commit();
    return Promise.all(pushing);
  }

  /** As far as the origin has them; without the acknowledgement where it is lost. */
  deliver(isAcknowledged = true): boolean {
    const batch = this.queue.next();
    if (batch === undefined) return false;
    for (const { id, kind, json } of batch.reports) {
      if (!this.arrived.has(id)) this.arrived.set(id, { kind, value: JSON.parse(json) });
    }
    if (isAcknowledged) this.queue.acknowledge(batch.sequence);
    return true;
  }

  deliverAll(): void {
    while (this.deliver());
  }

  kinds(): Record<string, number> {
    const counted: Record<string, number> = {};
    for (const { kind } of this.arrived.values()) counted[kind] = (counted[kind] ?? 0) + 1;
    return counted;
  }
}

t.test(
  "reports wait across a restart, in order, until the origin has them; each is acknowledged when durable",
  async (t) => {
    const edge = new Edge(t, MEBIBYTE, `${testFolder(t)}/reports.sqlite`);
    let acknowledged = 0;
    const pushing = ["a", "b", "a"].map((id) => edge.queue.push({ ...ended(id), id }).then(() => (acknowledged += 1)));
    await edge.clock.advance(COMMIT_MS - 1);
    t.equal(acknowledged, 0, "not before it is durable");
    t.equal(edge.queue.size, 0);
    await edge.clock.advance(1);
    t.equal(acknowledged, 3);
    t.equal(edge.commits, 1, "all that come together are durable together");
    await Promise.all(pushing);
    edge.waiting = undefined;
    edge.restart();
    t.equal(edge.waiting, edge.queue.size, "what waits from before is told at once");
    const batch = edge.queue.next();
    t.same(
      batch?.reports.map(({ id }) => id),
      ["a", "b"],
    );
    await edge.push({ ...ended("c"), id: "c" });
    edge.queue.acknowledge(batch?.sequence ?? 0);
    t.same(
      edge.queue.next()?.reports.map(({ id }) => id),
      ["c"],
    );
    t.same(await edge.push(ended(" ".repeat(70_000))), ["argument-invalid"]);
  },
);

t.test("quality of one session becomes one record while it waits, with how many it was made of", async (t) => {
  const edge = new Edge(t);
  await edge.push(
    quality("s1"),
    quality("s2"),
    quality("s1", { remotePathMsP50: 13, remotePathMsP95: 9, framesDecoded: 5 }),
  );
  await edge.push(quality("s1", { remotePathMsP50: 40 }));
  t.equal(edge.queue.size, 2);
  t.ok(edge.deliver(false));
  await edge.push(quality("s1"));
  t.equal(edge.queue.size, 3, "what the origin may have stays as it is");
  edge.restart();
  await edge.push(quality("s1"));
  t.equal(edge.queue.size, 4, "so does what an earlier process wrote");
  await edge.clock.advance(60_000);
  await edge.push(quality("s1"));
  t.equal(edge.queue.size, 5, "an interval later");
  edge.deliverAll();
  t.match([...edge.arrived.values()][0]?.value, {
    ...{ session: "s1", reports: 3, remotePathMsP50: 21, remotePathMsP95: 20, framesDecoded: 1 },
  });
  t.equal(edge.arrived.size, 5);
});

t.test("a full queue gives up what matters least, the oldest first, and a record says how many of what", async (t) => {
  const edge = new Edge(t, MEBIBYTE);
  const linkUp: Report = { kind: "link-up", value: { cutOffMs: 1 } };
  await edge.push(ended("first"), linkUp, ...Array.from({ length: 100 }, (_, index) => quality(`q${index}`)));
  const many = (from: number, count: number) => Array.from({ length: count }, (_, index) => ended(`s${from + index}`));
  for (let at = 0; edge.dropped.size === 0; at += 100) await edge.push(...many(at, 100));
  t.same([...edge.dropped.keys()], ["session-quality"]);
  t.ok((edge.dropped.get("session-quality") ?? 0) < 100);
  for (let at = 10_000; !edge.dropped.has("session-ended"); at += 100) await edge.push(...many(at, 100));
  t.equal(edge.dropped.get("session-quality"), 100, "all of them before anything else");
  t.equal(edge.dropped.get("link-up"), 1);
  t.ok(edge.queue.size * 256 < MEBIBYTE);
  edge.deliverAll();
  const said = [...edge.arrived.values()].filter(({ kind }) => kind === "reports-dropped");
  t.same(
    said.map(({ value }) => value),
    [Object.fromEntries(edge.dropped)],
  );
  t.notOk(
    [...edge.arrived.values()].some(({ value }) => value["session"] === "first"),
    "the oldest went",
  );
});

t.test(
  "what would be given up at once is refused instead of acknowledged, and what was sent is not given up",
  async (t) => {
    const edge = new Edge(t, MEBIBYTE);
    const old = Array.from({ length: BATCH_REPORTS_MAX }, (_, index) => quality(`old${index}`));
    await edge.push(...old);
    t.ok(edge.deliver(false));
    const said = new Set<string>();
    for (let at = 0; edge.dropped.size === 0; at += 100) {
      const answers = await edge.push(...Array.from({ length: 100 }, (_, index) => ended(`s${at + index}`)));
      for (const answer of answers) said.add(answer);
    }
    t.same([...edge.dropped.keys()], ["session-ended"], "the old ones may be at the origin");
    t.same([...said], ["kept"]);
    const before = new Map(edge.dropped);
    let refused = 0;
    for (let turn = 0; turn < 200; turn += 1) {
      const [answer] = await edge.push(quality(`late${turn}`));
      if (answer === "overloaded") refused += 1;
    }
    t.ok(refused > 0);
    t.same(edge.dropped.get("session-ended"), before.get("session-ended"), "nothing better is given up for it");
  },
);

t.test("a disk that is full refuses, keeps what it has, and takes again when there is room", async (t) => {
  const edge = new Edge(t, 64 * MEBIBYTE, `${testFolder(t)}/reports.sqlite`);
  await edge.push(ended("kept"));
  edge.database.exec("PRAGMA max_page_count = 12");
  const large = (name: string): Report => ({ kind: "session-ended", value: { name, filling: "x".repeat(30_000) } });
  const answers = await edge.push(large("a"), large("b"));
  t.same(answers, ["disk-full", "disk-full"]);
  t.equal(edge.queue.size, 1);
  edge.database.exec("PRAGMA max_page_count = 1000000");
  t.same(await edge.push(large("c")), ["kept"]);
  edge.deliverAll();
  t.same(edge.kinds(), { "session-ended": 2 });
});

type Step =
  | { readonly do: "push"; readonly reports: readonly Report[] }
  | { readonly do: "deliver"; readonly isAcknowledged: boolean }
  | { readonly do: "restart" }
  | { readonly do: "wait" };

const report: fc.Arbitrary<Report> = fc.oneof(
  fc.integer({ min: 0, max: 5 }).map((session) => quality(`q${session}`)),
  fc.record({ size: fc.integer({ min: 0, max: 60_000 }) }).map(({ size }) => ended("x".repeat(size))),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(report, { minLength: 1, maxLength: 12 }).map((reports) => ({ do: "push" as const, reports })),
  },
  { weight: 2, arbitrary: fc.boolean().map((isAcknowledged) => ({ do: "deliver" as const, isAcknowledged })) },
  { weight: 1, arbitrary: fc.constant({ do: "restart" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "wait" as const }) },
);

t.test("whatever happens, each acknowledged report is at the origin once or counted as given up", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const edge = new Edge(undefined, MEBIBYTE);
      using _ = edge.database;
      let acknowledged = 0;
      for (const next of steps) {
        if (next.do === "push")
          acknowledged += (await edge.push(...next.reports)).filter((said) => said === "kept").length;
        else if (next.do === "deliver") edge.deliver(next.isAcknowledged);
        else if (next.do === "restart") edge.restart();
        else await edge.clock.advance(60_000);
      }
      edge.deliverAll();
      const there = [...edge.arrived.values()].filter(({ kind }) => kind !== "reports-dropped");
      const arrived = there.reduce((sum, { value }) => sum + Number(value["reports"] ?? 1), 0);
      const said = [...edge.arrived.values()].filter(({ kind }) => kind === "reports-dropped");
      const saidDropped = said
        .flatMap(({ value }) => Object.values(value))
        .reduce<number>((sum, one) => sum + Number(one), 0);
      const dropped = [...edge.dropped.values()].reduce((sum, one) => sum + one, 0);
      return arrived + dropped === acknowledged && saidDropped === dropped;
    }),
    { numRuns: 60 },
  );
  t.pass("no steps were found that lose one, or have one twice");
});
