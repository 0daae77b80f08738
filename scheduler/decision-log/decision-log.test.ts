import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { until } from "../../test/simulation/until.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { testFolder } from "../../test/test-folder.ts";
import type { ContentDecisionRecord } from "../explain/explain-store.ts";
import { decideSteering, type SteeringRequest } from "../steering/content-decision.ts";
import { isSampled } from "./decision-log.ts";
import { candidate, decisionId, MEBIBYTE, openLog, sessionDecision } from "./log-world.test.ts";
import { LogReplay } from "./replay-log.ts";
import { DECISIONS_KEPT_MS } from "./segment-folder.ts";
import { SEGMENT_MS_MAX, WAITING_BYTES_MAX } from "./segment-log.ts";

type Opened = Awaited<ReturnType<typeof openLog>>;

/** About `bytes` of a session's decision. */
function append({ log, ids }: Opened, number: number, bytes = 0, session = "s-1"): void {
  const notes = bytes === 0 ? [] : ["x".repeat(bytes)];
  const pools = [candidate("near", 4), candidate("far", 60)];
  log.appendSession(sessionDecision(ids, pools, { id: decisionId(number), session, notes }));
}

function segmentsOf(folder: string, kind = "sessions"): string[] {
  const path = join(folder, "decisions", kind);
  return readdirSync(path)
    .sort()
    .map((file) => join(path, file));
}

function bytesOf(folder: string): number {
  return ["sessions", "steering"]
    .flatMap((kind) => segmentsOf(folder, kind))
    .reduce((sum, file) => sum + statSync(file).size, 0);
}

function replayOf(folder: string): LogReplay {
  const replay = new LogReplay();
  for (const kind of ["sessions", "steering"]) {
    for (const file of segmentsOf(folder, kind)) replay.replaySegment(readFileSync(file), file);
  }
  return replay;
}

t.test("decisions are written behind, many at once, and found by id and by session after a restart", async (t) => {
  const folder = testFolder(t);
  const clock = new VirtualClock();
  const first = await openLog(folder, clock);
  for (let number = 1; number <= 3; number += 1) append(first, number, 0, number === 2 ? "s-2" : "s-1");
  t.same(segmentsOf(folder), [], "behind");
  t.ok(clock.pendingTimers > 2, "soon");
  await clock.advance(1_000);
  await until(() => first.told.length > 0, "they are written");
  t.same([segmentsOf(folder).length, first.told], [1, ["logged 3"]]);
  append(first, 4, 0, "s-3");
  t.match((await first.log.find(decisionId(4)))?.record, { session: "s-3" }, "what waits is found too");
  await first.log[Symbol.asyncDispose]();

  const second = await openLog(folder, clock);
  t.match((await second.log.find(decisionId(2)))?.record, { id: decisionId(2), kind: "session", session: "s-2" });
  append(second, 5, 0, "s-9");
  t.match((await second.log.findSession("s-1"))?.record, { id: decisionId(3) }, "the last of the session");
  t.equal(await second.log.findSession("s-"), undefined);
  t.equal(await second.log.find(decisionId(9)), undefined);
  t.equal(await second.log.find("no id"), undefined);
  t.match(replayOf(folder), { sessions: 5, mismatched: 0, faulty: 0, torn: 0 });
  await second.log[Symbol.asyncDispose]();
  t.equal(clock.pendingTimers, 0);
});

t.test("the end that a killed process had not written whole is cut off at start and counted", async (t) => {
  const folder = testFolder(t);
  const clock = new VirtualClock();
  const first = await openLog(folder, clock);
  append(first, 1);
  append(first, 2);
  await first.log[Symbol.asyncDispose]();
  const [file = ""] = segmentsOf(folder);
  const whole = readFileSync(file);
  writeFileSync(file, whole.subarray(0, whole.length - 5));
  const second = await openLog(folder, clock);
  t.match(second.told, [/^torn \d+$/]);
  t.ok(await second.log.find(decisionId(1)));
  t.equal(await second.log.find(decisionId(2)), undefined);
  t.match(replayOf(folder), { sessions: 1, torn: 0, faulty: 0 });
  await second.log[Symbol.asyncDispose]();
  writeFileSync(file, whole.subarray(0, 7));
  const third = await openLog(folder, clock);
  t.same([third.told, segmentsOf(folder)], [["torn 7"], []]);
  await third.log[Symbol.asyncDispose]();
});

t.test("a byte that was changed is told of with file and offset, and cuts nothing off", async (t) => {
  const folder = testFolder(t);
  const clock = new VirtualClock();
  const first = await openLog(folder, clock);
  append(first, 1);
  append(first, 2);
  await first.log[Symbol.asyncDispose]();
  const [file = ""] = segmentsOf(folder);
  const bytes = readFileSync(file);
  bytes[20] = (bytes[20] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  const replay = replayOf(folder);
  t.match(replay.faults, [{ file, offset: 16 }]);
  const second = await openLog(folder, clock);
  t.same(second.told, ["damaged at 16: an entry's head was changed"]);
  t.equal(statSync(file).size, bytes.length);
  append(second, 3);
  t.ok(await second.log.find(decisionId(3)), "the next ones go to another file");
  await second.log[Symbol.asyncDispose]();
});

const SESSIONS_BYTES_MAX = 24 * MEBIBYTE;

/** Sessions' part is full to the last byte, or `beyond` it: what an entry takes beside its note is known from one. */
async function fill(folder: string, opened: Opened, beyond: number): Promise<number> {
  const note = 256 * 1024;
  let number = 0;
  const add = async (bytes: number): Promise<void> => {
    number += 1;
    append(opened, number, bytes);
    await opened.log.flush();
  };
  while (bytesOf(folder) < SESSIONS_BYTES_MAX - 2 * note) await add(note);
  const before = bytesOf(folder);
  await add(1_000);
  const beside = bytesOf(folder) - before - 1_000;
  t.notOk(opened.told.includes("dropped true: size"));
  await add(SESSIONS_BYTES_MAX - bytesOf(folder) - beside + beyond);
  return number;
}

t.test("the log is full to its last byte before the oldest decisions are dropped", async (t) => {
  const folder = testFolder(t);
  const opened = await openLog(folder, new VirtualClock());
  await fill(folder, opened, 0);
  t.equal(bytesOf(folder), SESSIONS_BYTES_MAX);
  t.notOk(opened.told.includes("dropped true: size"));
  t.equal(opened.sizes.at(-1), SESSIONS_BYTES_MAX);
  t.ok(await opened.log.find(decisionId(1)));
  await opened.log[Symbol.asyncDispose]();
});

t.test("a decision that is a byte too long for the log drops the oldest ones, and no more than needs be", async (t) => {
  const folder = testFolder(t);
  const opened = await openLog(folder, new VirtualClock());
  const number = await fill(folder, opened, 1);
  t.ok(opened.told.includes("dropped true: size"));
  t.ok(bytesOf(folder) < SESSIONS_BYTES_MAX);
  t.equal(await opened.log.find(decisionId(1)), undefined);
  t.ok(await opened.log.find(decisionId(number)));
  const replay = replayOf(folder);
  t.match(replay, { mismatched: 0, faulty: 0, torn: 0 });
  t.ok(replay.sessions > 0.9 * number, `${replay.sessions} of ${number} are left`);
  await opened.log[Symbol.asyncDispose]();
});

t.test("a decision is found for a day, and dropped not much later", async (t) => {
  const folder = testFolder(t);
  const clock = new VirtualClock();
  const opened = await openLog(folder, clock);
  append(opened, 1);
  await opened.log.flush();
  await clock.advance(SEGMENT_MS_MAX);
  append(opened, 2);
  await opened.log.flush();
  t.equal(segmentsOf(folder).length, 2, "an hour later another segment is begun");
  await clock.advance(DECISIONS_KEPT_MS - SEGMENT_MS_MAX - 1_000);
  t.ok(await opened.log.find(decisionId(1)));
  await clock.advance(1_000);
  t.equal(await opened.log.find(decisionId(1)), undefined);
  t.ok(await opened.log.find(decisionId(2)));
  await opened.log[Symbol.asyncDispose]();

  const later = await openLog(folder, clock);
  await clock.advance(SEGMENT_MS_MAX - 1_000);
  t.ok(await later.log.find(decisionId(2)), "as of its own time, also after a restart");
  await clock.advance(1_000);
  await later.log.flush();
  t.same(segmentsOf(folder), []);
  t.same(later.told, ["dropped true: age"]);
  await later.log[Symbol.asyncDispose]();
});

t.test(
  "a disk that cannot be written to is told of once, loses decisions and no placement, and is gone on with",
  async (t) => {
    const folder = testFolder(t);
    const clock = new VirtualClock();
    const opened = await openLog(folder, clock);
    append(opened, 1);
    await opened.log.flush();
    const [file = ""] = segmentsOf(folder);
    // Where the next segments' folder should be there is a file.
    await clock.advance(SEGMENT_MS_MAX);
    const path = join(folder, "decisions", "sessions");
    const kept = readFileSync(file);
    rmSync(path, { recursive: true });
    writeFileSync(path, "");
    for (const number of [2, 3]) {
      append(opened, number);
      await opened.log.flush();
    }
    t.same(opened.told.slice(1), ["lost 1: write-failed", "failed: storage-failed", "lost 1: write-failed"]);
    rmSync(path);
    mkdirSync(path);
    writeFileSync(file, kept);
    append(opened, 4);
    await opened.log.flush();
    t.same(opened.told.slice(4), ["logged 1", "mended"]);
    t.equal(await opened.log.find(decisionId(3)), undefined);
    const next = { id: decisionId(4), app: "hall", outcome: { pool: "near" } };
    t.match((await opened.log.find(decisionId(4)))?.record, next, "with its names");
    t.match(replayOf(folder), { sessions: 2, mismatched: 0, faulty: 0, torn: 0 });
    await opened.log[Symbol.asyncDispose]();
  },
);

t.test("what a slow disk has no room for is lost and counted; the rest is whole", async (t) => {
  const folder = testFolder(t);
  const clock = new VirtualClock();
  const opened = await openLog(folder, clock);
  const note = 512 * 1024;
  const count = WAITING_BYTES_MAX / note + 4;
  for (let number = 1; number <= count; number += 1) append(opened, number, note);
  const lost = opened.told.filter((line) => line === "lost 1: overloaded").length;
  t.ok(lost >= 4, `${lost} lost`);
  await opened.log.flush();
  t.match(replayOf(folder), { sessions: count - lost, faulty: 0, torn: 0 });
  await opened.log[Symbol.asyncDispose]();
});

const request: SteeringRequest = {
  candidates: ["near-1", "far-1"].map((node, index) => ({
    edge: {
      ...{
        node,
        pool: node.slice(0, -2),
        hostname: `${node}.test`,
        contentUrl: `http://${node}.test`,
        ...{ sites: undefined, storeBytesMax: undefined },
      },
      ...{ state: "connected", isHeard: index === 0, cordoned: false, draining: false },
    },
    ...{ labels: { region: "eu" }, siteFault: undefined, isUnanswered: false },
    rtt: index === 0 ? { rttMs: 4.1, source: "history" } : { rttMs: 17.8, source: "geography", errorMs: 2.5 },
  })),
  rules: {
    constraints: [{ label: "region", operator: "Exists" }],
    preferences: [{ label: "region", operator: "In", values: ["eu"], bonusMs: 0.3 }],
    ...{ stickinessMs: 2, residency: [{ region: "eu" }] },
  },
  ...{ lastNode: "far-1", tieKey: "shop\0here" },
};

function contentDecision(number: number): ContentDecisionRecord {
  const { considered } = decideSteering(request);
  const who = { client: "here", policy: undefined, notes: ["a note"], site: "shop" };
  return { kind: "content", id: decisionId(number), atMs: 1_700_000_000_000, ...who, candidates: considered };
}

t.test("decisions on content are sampled by their id, apart from sessions', and decided again", async (t) => {
  const folder = testFolder(t);
  const opened = await openLog(folder, new VirtualClock(), { steeringRatio: 0.5 });
  const decision = decideSteering(request);
  const sampled = decisionId(1);
  const passedOver = `d-_${decisionId(1).slice(3)}`;
  for (const id of [sampled, passedOver])
    opened.log.appendContent({ ...contentDecision(1), id }, { request, decision });
  t.same((await opened.log.find(sampled))?.record, contentDecision(1));
  t.equal(await opened.log.find(passedOver), undefined);
  append(opened, 2);
  await opened.log.flush();
  t.match(replayOf(folder), { sessions: 1, contents: 1, mismatched: 0 });
  const reversed = { ...decision, ranked: decision.ranked.toReversed() };
  opened.log.appendContent(contentDecision(3), { request, decision: reversed });
  await opened.log.flush();
  t.match(replayOf(folder), { contents: 2, mismatched: 1, mismatches: [{ decision: decisionId(3) }] });
  await opened.log[Symbol.asyncDispose]();
});

t.test("of all ids the ratio is sampled, of a ratio of 0 none and of 1 all", async (t) => {
  const ids = Array.from(
    { length: 1_000 },
    (_, index) => `d-${Buffer.from(String(index).padEnd(9)).toString("base64url")}`,
  );
  const spread = Array.from({ length: 256 }, (_, byte) => `d-${Buffer.alloc(9, byte).toString("base64url")}`);
  t.equal(ids.filter((id) => isSampled(id, 0)).length, 0);
  t.equal(ids.filter((id) => isSampled(id, 1)).length, ids.length);
  t.equal(spread.filter((id) => isSampled(id, 0.25)).length, 64);
});
