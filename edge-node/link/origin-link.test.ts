import { create, type MessageInitShape } from "@bufbuild/protobuf";
import t from "tap";
import type { NodeMessageSchema } from "#contracts/generated/perigee/v1/node_pb.js";
import { OriginMessageSchema } from "#contracts/generated/perigee/v1/node_pb.js";
import { Failure } from "#domain/failure.ts";
import { seededRandom } from "#platform/random.ts";
import { type Database, openDatabase } from "#platform/sqlite/database.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { POOL_SET_MIGRATIONS, PoolSet } from "../desired-state/pool-set.ts";
import { REPORT_QUEUE_MIGRATIONS, ReportQueue } from "../reports/report-queue.ts";
import { type ConnectOrigin, OriginLink } from "./origin-link.ts";

/** Speaks first, as one that pings does, and acknowledges whatever is reported; gives the ids in the order of their arrival. */
function acknowledgingOrigin() {
  const ids: string[] = [];
  const connect: ConnectOrigin = async function* (messages) {
    yield create(OriginMessageSchema, { message: { case: "ping", value: { nonce: 1n, sentAtMs: 1n } } });
    for await (const { message } of messages) {
      const value = reportsIn(message);
      if (value === undefined) continue;
      ids.push(...value.ids);
      yield create(OriginMessageSchema, { message: { case: "reportAck", value: { sequence: value.sequence } } });
    }
  };
  return { connect, ids };
}

function reportsIn(message: MessageInitShape<typeof NodeMessageSchema>["message"]) {
  if (message?.case !== "reports") return undefined;
  const { sequence = 0n, reports = [] } = message.value;
  return { sequence, ids: reports.map(({ id = "" }) => id) };
}

/** Deletes nothing while it is told so: a full disk as SQLite has it. */
function fullWhile(database: Database, isFull: () => boolean): Database {
  return {
    prepare(sql) {
      const statement = database.prepare(sql);
      if (!sql.startsWith("DELETE")) return statement;
      return {
        ...statement,
        all(...values) {
          if (isFull()) throw new Failure("disk-full", "no space is left", { retryable: true });
          return statement.all(...values);
        },
      };
    },
    exec: (sql) => database.exec(sql),
    transaction: (work) => database.transaction(work),
    close: () => database.close(),
    [Symbol.dispose]: () => database.close(),
  };
}

t.test("a disk too full to forget reports does not end the link; they are sent again until it has room", async (t) => {
  const clock = new VirtualClock();
  let isFull = true;
  const open = (migrations: readonly string[]) => openDatabase(":memory:", { migrations, durability: "normal" });
  using disk = fullWhile(open(REPORT_QUEUE_MIGRATIONS), () => isFull);
  using desired = open(POOL_SET_MIGRATIONS);
  const { connect, ids } = acknowledgingOrigin();
  const [failures, downs]: [string[], string[]] = [[], []];
  const random = seededRandom(1);
  const reports = new ReportQueue(disk, {
    ...{ clock, random, bytesMax: 1024 * 1024 },
    events: {
      reportsDropped: () => t.fail("nothing is dropped"),
      reportsCommitted: () => undefined,
      reportsWaiting: () => undefined,
      storageFailed: () => t.fail("what is handed out is marked"),
    },
  });
  const pushing = ["a", "b"].map((id) => reports.push({ id, kind: "session-ended", value: {} }));
  reports.commit();
  await Promise.all(pushing);
  const status = {
    ...{ incarnation: "i", softwareVersion: "1", contentUrl: "http://edge.example", hostname: "edge.example" },
    ...{ epoch: 0, appliedRevision: 0, storeBytesUsed: 0, storeBytesMax: 0, certificateExpiresAtMs: 0 },
    ...{ conditions: [], sites: [], agents: [] },
  };
  await using _link = new OriginLink({
    ...{ connect, reports, clock, random, incarnation: "i", softwareVersion: "1" },
    set: new PoolSet(desired, { pool: "near", keys: () => new Map() }),
    status: () => status,
    originTime: { heard: () => undefined },
    onBatch: () => undefined,
    onUp: () => undefined,
    onDown: ({ message }) => void downs.push(message),
    events: {
      batchRefused: () => undefined,
      originRefused: () => undefined,
      linkFailed: ({ message }) => t.fail(`failed: ${message}`),
      storageFailed: ({ code }) => void failures.push(code),
    },
  });
  await clock.advance(5000);
  t.ok(failures.length > 0 && failures.every((code) => code === "disk-full"), "the failure is told");
  t.equal(reports.size, 2, "what the disk holds on to still waits");
  isFull = false;
  await clock.advance(5000);
  t.equal(reports.size, 0);
  t.same(ids.slice(0, 4), ["a", "b", "a", "b"], "sent again");
  t.same(downs, []);
});
