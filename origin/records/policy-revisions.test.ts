import t from "tap";
import type { WrittenPlacementPolicy } from "#domain/policy/placement-policy.ts";
import { writeResource } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { POLICY_REVISIONS_MAX } from "./policy-revisions.ts";
import { openRecords } from "./records.ts";

const spec = (stickinessMs: number): WrittenPlacementPolicy => ({
  ...{ apps: ["hall"], sites: [], latencyBudgetMs: {}, constraints: [], preferences: [], capacityReserveRatio: 0 },
  ...{ onNoFit: "queue", sessionSecondsMax: 60, stickinessMs },
});

function open() {
  const log = openSqliteLog(":memory:");
  const records = openRecords(":memory:");
  const write = (name: string, stickinessMs: number) =>
    writeResource(log, { kind: "PlacementPolicy", metadata: { name, labels: {} }, spec: spec(stickinessMs) }, 1)
      .revision;
  const revisionsOf = (name: string) => records.policies.list("PlacementPolicy", name).map(({ revision }) => revision);
  return { log, records, write, revisionsOf };
}

t.test("revisions outlive the log's compaction, each once, with when it was seen", async (t) => {
  const { log, records, write, revisionsOf } = open();
  const first = write("eu", 1);
  records.policies.follow(log, 1_000);
  const second = write("eu", 2);
  write("us", 1);
  records.policies.follow(log, 2_000);
  log.compact(log.revision());
  const third = write("eu", 3);
  records.policies.follow(log, 3_000);
  records.policies.follow(log, 4_000);
  t.same(revisionsOf("eu"), [third, second, first]);
  t.match(records.policies.find("PlacementPolicy", "eu", first), { seenAtMs: 1_000, json: /"stickinessMs":1/ });
  t.equal(records.policies.find("PlacementPolicy", "us", first), undefined);
  log.write([{ kind: "PlacementPolicy", name: "eu", render: () => undefined }]);
  records.policies.follow(log, 5_000);
  t.match(records.policies.list("PlacementPolicy", "eu")[0], { deleted: true, json: "" });
});

t.test("an origin that finds the log compacted past what it read keeps what is there", async (t) => {
  const { log, records, write, revisionsOf } = open();
  write("eu", 1);
  const second = write("eu", 2);
  log.compact(log.revision());
  const third = write("eu", 3);
  records.policies.follow(log, 1_000);
  t.same(revisionsOf("eu"), [third], "the second went before it was read");
  t.ok(second < third);
  log.compact(log.revision());
  write("us", 1);
  records.policies.follow(log, 2_000);
  t.equal(revisionsOf("us").length, 1);
});

t.test("of each policy the last are kept", async (t) => {
  const { log, records, write, revisionsOf } = open();
  write("other", 1);
  for (let count = 0; count < POLICY_REVISIONS_MAX + 5; count += 1) write("eu", count);
  records.policies.follow(log, 1_000);
  t.equal(revisionsOf("eu").length, POLICY_REVISIONS_MAX);
  t.equal(revisionsOf("eu")[0], log.revision());
  t.equal(revisionsOf("other").length, 1);
});
