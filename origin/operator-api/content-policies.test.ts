/** ContentPolicies as they are applied: what is refused, what is warned of, what each revision changed, and going back. */
import t, { type Test } from "tap";
import { isFailure } from "#domain/failure.ts";
import { writeResource } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { openRecords } from "../records/records.ts";
import { applyDocuments } from "./apply.ts";

const NIGHT = { from: "01:00", to: "05:00", timeZone: "Europe/Lisbon" };
const policy = (name: string, spec: object, resourceVersion?: number) => ({
  ...{ apiVersion: "perigee.dev/v1", kind: "ContentPolicy", spec: { sites: ["shop"], ...spec } },
  metadata: { name, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
});
const pool = (name: string, zone: string) => ({
  ...{ apiVersion: "perigee.dev/v1", kind: "NodePool", metadata: { name, labels: { zone } } },
  spec: { region: "eu", coordinates: { latitude: 50, longitude: 8 }, fillBytesPerSecond: 2_500_000 },
});

function open(test: Test) {
  const log = openSqliteLog(":memory:");
  const records = openRecords(":memory:");
  test.teardown(() => {
    log[Symbol.dispose]();
    records[Symbol.dispose]();
  });
  const apply = (...documents: readonly object[]) => applyDocuments(log, documents, { dryRun: false, nowMs: 1 });
  return { log, records, apply };
}

t.test("windows that contradict themselves are refused, all at once", async (t) => {
  const { apply, log } = open(t);
  const windows = [NIGHT, { ...NIGHT, to: "01:00" }, { ...NIGHT, timeZone: "Mars/Olympus" }];
  const refused: unknown = await apply(policy("night", { prefetch: { windows } })).catch((error: unknown) => error);
  if (!isFailure(refused, "resource-invalid")) throw refused;
  t.match(refused.detail, {
    faults: [
      { document: 0, pointer: "/spec/prefetch/windows/1/to", message: /is empty/ },
      { document: 0, pointer: "/spec/prefetch/windows/2/timeZone", message: /IANA/ },
    ],
  });
  t.equal(log.revision(), 0);
});

t.test("policies beside one another and over the fleet are warned of, and applied", async (t) => {
  const { apply } = open(t);
  const first = await apply(pool("near", "eu"), pool("far", "us"), policy("eu", { residency: { zone: "eu" } }));
  t.same(first.warnings, []);
  const copies = await apply(policy("twice", { replicas: 2 }));
  t.match(copies.warnings, [
    { document: 0, pointer: "/spec/replicas", message: /eu and twice together: 2 copies .* in 1 of 2 pools/ },
  ]);
  t.same((await apply(pool("next", "eu"), policy("twice", { replicas: 2 }))).warnings, [], "there is another pool");
  await apply(policy("night", { prefetch: { windows: [NIGHT] } }));
  const day = { windows: [{ from: "09:00", to: "17:00", timeZone: "Europe/Lisbon" }] };
  t.match(await apply(policy("day", { prefetch: day })), {
    results: [{ action: "created" }],
    warnings: [
      { pointer: "/spec/prefetch/windows", message: /policies day and night .* no time is in windows of each/ },
    ],
  });
});

t.test("names that nothing has, pools without an edge and labels that say nothing are warned of", async (t) => {
  const { apply, log } = open(t);
  const site = (name: string) => ({
    ...{ apiVersion: "perigee.dev/v1", kind: "Site", metadata: { name } },
    spec: { hostnames: [`${name}.example`], publish: {} },
  });
  const waves = (...pools: readonly string[]) => ({
    ...{
      apiVersion: "perigee.dev/v1",
      kind: "RolloutPolicy",
      metadata: { name: "fleet" },
      spec: { waves: [{ pools }] },
    },
  });
  const early = await apply(policy("eu", { residency: { zone: "eu" } }), waves("naer"));
  t.same(early.warnings, [], "sites and pools are to come");
  t.same((await apply(site("shop"), pool("near", "eu"), pool("far", "us"), policy("eu", {}))).warnings, []);
  const misspelt = await apply(policy("eu", { sites: ["shopp", "blog"] }), site("blog"), waves("near", "fra"));
  t.match(misspelt.warnings, [
    { document: 0, pointer: "/spec/sites/0", message: /there is no Site shopp: did you mean shop\?/ },
    { document: 2, pointer: "/spec/waves/0/pools/1", message: /there is no NodePool fra: did you mean far\?/ },
  ]);
  t.equal(misspelt.warnings.length, 2);
  const together = [policy("eu", { sites: ["wiki"] }), site("wiki")];
  t.same((await applyDocuments(log, together, { dryRun: true, nowMs: 1 })).warnings, [], "it is in the same request");
  const node = { role: "edge", pool: "far", cordoned: false, draining: false } as const;
  await writeResource(log, { kind: "Node", metadata: { name: "far-1", labels: {} }, spec: node }, 1);
  const edgeless = await apply(policy("eu", { residency: { zone: "eu" } }));
  t.match(edgeless.warnings, [{ pointer: "/spec/residency", message: /has an edge \(1 of 2 pools have them\)/ }]);
  t.same((await apply(policy("eu", { residency: { zone: "us" } }))).warnings, []);
  const labelled = pool("near", "eu");
  const metadata = { ...labelled.metadata, labels: { "perigee.dev/slots": "many" } };
  t.match((await apply({ ...labelled, metadata })).warnings, [
    { pointer: "/metadata/labels/perigee.dev~1slots", message: /must be a number from 0, got "many"/ },
  ]);
});

t.test("each revision is kept with what it changed, and an earlier one is written again", async (t) => {
  const { apply, log, records } = open(t);
  const first = (await apply(policy("night", { prefetch: { windows: [NIGHT] } }))).revision;
  const second = await apply(policy("night", { prefetch: { windows: [{ ...NIGHT, from: "03:00" }] }, replicas: 2 }));
  t.same(second.results[0]?.changed, ["/spec/prefetch/windows", "/spec/replicas"]);
  records.policies.follow(log, 1);
  log.compact(log.revision());
  t.same(
    records.policies.list("ContentPolicy", "night").map(({ revision }) => revision),
    [second.revision, first],
  );
  const before: unknown = JSON.parse(records.policies.find("ContentPolicy", "night", first)?.json ?? "");
  t.match(before, { spec: { sites: ["shop"], prefetch: { windows: [NIGHT] } } });
  t.notMatch(before, { spec: { replicas: 2 } });
  const stale = await apply(policy("night", { prefetch: "all" }, first)).catch((error: unknown) => error);
  t.ok(isFailure(stale, "resource-conflict"), "somebody wrote meanwhile");
  const back = await apply(policy("night", { prefetch: { windows: [NIGHT] } }, second.revision));
  t.match(back.results, [{ action: "changed", changed: ["/spec/prefetch/windows", "/spec/replicas"] }]);
});
