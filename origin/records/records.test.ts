/** Records are kept once by node and id, in one transaction, and for as long as the retention says. */
import t from "tap";
import { HOUR_MS } from "#domain/usage/site-usage.ts";
import { openRecords } from "./records.ts";
import type { UsageQuery } from "./usage-sums.ts";

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

const HOUR = 20_000 * HOUR_MS;
const used = (id: string, hits: number, more: object = {}) => ({
  ...{ id, kind: "usage", atMs: 1n },
  json: Buffer.from(JSON.stringify({ site: "shop", hourMs: HOUR, counts: { hit: hits, "2xx": hits }, ...more })),
});
const whole = { fromMs: 0, toMs: HOUR + 48 * HOUR_MS, per: "hour", rowsMax: 100 } as const;

t.test("usage is summed by site and hour, each record once, however often and from how many lives it comes", (t) => {
  using records = openRecords(":memory:");
  const hits = (query: Partial<UsageQuery> = {}) =>
    records.usage.read({ ...whole, ...query }).map(({ counts }) => counts.hit);
  t.equal(records.append("near-1", [used("usage/a/1", 3), used("usage/a/2", 4)], 5), 2);
  t.same(hits(), [7]);
  t.equal(records.append("near-1", [used("usage/a/1", 3), used("usage/a/2", 4), used("usage/a/4", 1)], 5), 1);
  t.same(hits(), [8], "what came before is known, also where numbers are left out");
  t.equal(records.append("near-1", [used("usage/b/1", 10)], 6), 1);
  t.equal(records.append("far-1", [used("usage/a/1", 20)], 6), 1);
  t.same(hits(), [38]);
  records.append(
    "near-1",
    [used("usage/b/2", 1, { hourMs: HOUR + HOUR_MS }), used("usage/b/3", 2, { site: "films" })],
    6,
  );
  t.same(hits(), [2, 38, 1], "oldest first, by site");
  t.same(hits({ site: "shop" }), [38, 1]);
  t.same(hits({ toMs: HOUR + HOUR_MS }), [2, 38]);
  t.same(hits({ rowsMax: 1 }), [2]);
  t.same(hits({ per: "day" }), [2, 39]);
  t.equal(records.count(), 0, "sums are kept, not records");
  records.usage.prune(HOUR + 1);
  t.same(hits(), [1]);
  t.end();
});

t.test(
  "usage in words that this origin does not know stops nothing: it counts what it can, and keeps the rest to be read",
  (t) => {
    using records = openRecords(":memory:");
    const later = { counts: { hit: 1, teleported: 5 } };
    const strange = ["{", "[]", JSON.stringify({ site: "Shop!", hourMs: HOUR, counts: {} })].map((json, index) => ({
      ...used(`usage/a/${index + 2}`, 1),
      json: Buffer.from(json),
    }));
    const unhoured = used("usage/a/6", 1, { hourMs: HOUR + 1 });
    const negative = used("usage/a/7", -1);
    const unnamed = used("7", 1);
    t.equal(records.append("near-1", [used("usage/a/1", 1, later), ...strange, unhoured, negative, unnamed], 5), 7);
    t.match(records.usage.read(whole), [{ site: "shop", counts: { hit: 1 } }]);
    t.equal(records.count(), 6);
    t.end();
  },
);
