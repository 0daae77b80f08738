/** Records are kept once by node and id, in one transaction, and for as long as the retention says. */
import t from "tap";
import { openRecords } from "./records.ts";

const report = (id: string, atMs: bigint) => ({ id, kind: "session-ended", atMs, json: Buffer.from('{"s":1}') });

t.test("a report delivered again changes nothing, the same id of another node is another record", (t) => {
  using records = openRecords(":memory:");
  t.equal(records.append("near-1", [report("a", 1n), report("b", 2n), report("a", 1n)], 5), 2);
  t.equal(records.append("near-1", [report("a", 1n)], 5), 0);
  t.equal(records.append("far-1", [report("a", 1n)], 5), 1);
  t.equal(records.count(), 3);
  t.end();
});

t.test("a batch with a wrong report is refused whole", (t) => {
  using records = openRecords(":memory:");
  t.throws(() => records.append("near-1", [report("a", 1n), report("b", 2n ** 60n)], 5), { code: "argument-invalid" });
  t.equal(records.count(), 0);
  t.end();
});

t.test("what is older than the retention is forgotten", (t) => {
  using records = openRecords(":memory:");
  records.append("near-1", [report("early", 10n)], 12);
  records.append("near-1", [report("of a long outage", 1n)], 20);
  records.prune(15);
  t.equal(records.count(), 1);
  records.append("near-1", [report("of a long outage", 1n)], 21);
  t.equal(records.count(), 1, "it is the one that came last");
  t.end();
});
