import t from "tap";
import { openDatabase } from "#platform/sqlite/database.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { REPORT_QUEUE_MIGRATIONS, REPORTS_MAX, ReportQueue } from "./report-queue.ts";

const clock = new VirtualClock();

t.test("reports wait across a restart, in order, until the origin has them", async (t) => {
  const path = `${testFolder(t)}/reports.sqlite`;
  using database = openDatabase(path, { migrations: REPORT_QUEUE_MIGRATIONS, durability: "full" });
  const options = { clock, onDropped: () => t.fail("nothing is dropped") };
  const queue = new ReportQueue(database, options);
  for (const id of ["a", "b", "a"]) queue.push({ id, kind: "test", json: "{}" });
  t.equal(queue.size, 2);
  const again = new ReportQueue(database, options);
  const batch = again.next();
  t.same(
    batch?.reports.map(({ id }) => id),
    ["a", "b"],
  );
  again.push({ id: "c", kind: "test", json: "{}" });
  again.acknowledge(batch?.sequence ?? 0);
  t.same(
    again.next()?.reports.map(({ id }) => id),
    ["c"],
  );
  t.throws(() => again.push({ id: "d", kind: "test", json: " ".repeat(70_000) }), { code: "argument-invalid" });
});

t.test("a full queue gives up its oldest, and says how many", async (t) => {
  using database = openDatabase(":memory:", { migrations: REPORT_QUEUE_MIGRATIONS, durability: "normal" });
  let dropped = 0;
  const queue = new ReportQueue(database, { clock, onDropped: (count) => (dropped += count) });
  for (let index = 0; index <= REPORTS_MAX; index += 1) queue.push({ id: `r${index}`, kind: "test", json: "{}" });
  t.ok(queue.size <= REPORTS_MAX);
  t.equal(queue.size + dropped, REPORTS_MAX + 1);
  t.equal(queue.next()?.reports[0]?.id, `r${dropped}`);
});
