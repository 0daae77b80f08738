/** The contract of the log, run against SQLite, and what SQLite alone has. */
import t from "tap";
import { logContract } from "#test/contract/log-contract.ts";
import { testFolder } from "#test/test-folder.ts";

import { getResource, planWrite, writeResource } from "./resources.ts";
import { openSqliteLog } from "./sqlite-log.ts";

const site = (hostname: string) => ({
  kind: "Site" as const,
  metadata: { name: hostname, labels: {} },
  spec: { hostnames: [hostname], publish: { keepReleases: 3, indexDocument: "index.html" } },
});
const put = (name: string, value: string, expectedRevision?: number) => ({
  kind: "Site" as const,
  name,
  ...(expectedRevision === undefined ? {} : { expectedRevision }),
  render: (revision: number) => JSON.stringify({ value, revision }),
});

logContract("sqlite", () => openSqliteLog(":memory:"));

t.test("what was written is there after the log is opened again", (t) => {
  const path = `${testFolder(t)}/log.sqlite`;
  const first = openSqliteLog(path);
  first.write([put("a", "1")]);
  first[Symbol.dispose]();
  using again = openSqliteLog(path);
  t.equal(again.revision(), 1);
  t.ok(again.find("Site", "a"));
  t.end();
});

t.test("a resource's generation grows with its spec only, and the same again writes nothing", (t) => {
  using log = openSqliteLog(":memory:");
  writeResource(log, site("shop"), 1000);
  t.equal(planWrite(log, site("shop"), 2000).action, "unchanged");
  writeResource(log, { ...site("shop"), metadata: { name: "shop", labels: { tier: "gold" } } }, 2000);
  const labelled = getResource(log, "Site", "shop").metadata;
  t.match(labelled, { generation: 1, resourceVersion: 2, createdAtMs: 1000, labels: { tier: "gold" } });
  writeResource(log, { ...site("shop"), spec: { ...site("shop").spec, hostnames: ["other"] } }, 3000);
  t.match(getResource(log, "Site", "shop").metadata, { generation: 2, resourceVersion: 3 });
  const stale = { ...site("shop"), metadata: { name: "shop", labels: {}, resourceVersion: 1 } };
  t.throws(() => planWrite(log, stale, 4000), { code: "resource-conflict" });
  t.end();
});
