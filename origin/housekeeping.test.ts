/** Housekeeping forgets what has had its effect and what nobody needs, and keeps all else. */
import { createHash } from "node:crypto";
import { utimesSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { PURGE_RETENTION_MS } from "#domain/content/purge.ts";
import type { Resource } from "#domain/resource.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { openFileBlobStore } from "./blob-store/file-blob-store.ts";
import { expiredOrders, startHousekeeping } from "./housekeeping.ts";
import { writeResource } from "./log/resources.ts";
import { openSqliteLog } from "./log/sqlite-log.ts";
import { Distribution, type Envelope } from "./node-rpc/distribution.ts";
import { openRecords } from "./records/records.ts";

type Written = Parameters<typeof writeResource>[1];
const metadata = (name: string) => ({ name, labels: {} });
const purge = (name: string, atMs: number): Written => ({
  kind: "Purge",
  metadata: metadata(name),
  spec: { site: "shop", match: { kind: "all" }, soft: false, atMs },
});
const revocation = (name: string, subjectExpiresAtMs: number): Written => ({
  kind: "Revocation",
  metadata: metadata(name),
  spec: { subject: { kind: "token", id: "token-of-ci" }, reason: "leaked", subjectExpiresAtMs },
});

t.test("purges are retained for thirty days, revocations for as long as their subject could live", (t) => {
  using log = openSqliteLog(":memory:");
  const nowMs = PURGE_RETENTION_MS * 3;
  for (const written of [
    purge("old", nowMs - PURGE_RETENTION_MS - 1),
    purge("young", nowMs - PURGE_RETENTION_MS + 1),
    revocation("over", nowMs - 1),
    revocation("in-force", nowMs + 1),
  ]) {
    writeResource(log, written, 1);
  }
  log.write(expiredOrders(log, nowMs));
  t.same(
    log.list().rows.map(({ name }) => name),
    ["young", "in-force"],
  );
  t.same(expiredOrders(log, nowMs), []);
  t.end();
});

t.test("a run compacts the log, tells nodes of what is forgotten, and collects what no release needs", async (t) => {
  const clock = new VirtualClock();
  const folder = testFolder(t);
  using log = openSqliteLog(":memory:");
  using records = openRecords(":memory:");
  const blobs = await openFileBlobStore(folder);
  const digest = createHash("sha256").update("unneeded").digest("hex");
  await blobs.put(
    digest,
    (async function* () {
      yield Buffer.from("unneeded");
    })(),
  );
  utimesSync(join(folder, digest.slice(0, 2), digest), 1, 1);
  const distribution = new Distribution(log, generateSigningKey());
  const pushed: Envelope[] = [];
  using _subscription = distribution.subscribe("near", undefined, { push: (envelope) => void pushed.push(envelope) });
  const snapshots = pushed.length;
  writeResource(log, revocation("over", 1), 1);
  const spec: Resource<"Assignment">["spec"] = { pool: "near", sites: [], apps: [] };
  for (let turn = 0; turn < 5; turn += 1) {
    writeResource(log, { kind: "Assignment", metadata: metadata("near"), spec: { ...spec, sites: [`s${turn}`] } }, 1);
  }
  const removed: number[] = [];
  const failed: unknown[] = [];
  const events = {
    collected: (result: { removed: number }) => void removed.push(result.removed),
    housekeepingFailed: (error: unknown) => void failed.push(error),
  };
  const limits = { logRevisionsKept: 2, blobGraceSeconds: 60, housekeepingSeconds: 300 };
  using _running = startHousekeeping({ log, records, blobs, distribution, clock, events }, limits);
  await clock.advance(300_000);
  while (removed.length === 0 && failed.length === 0) await new Promise((resolve) => setImmediate(resolve));
  t.same(failed, []);
  t.same(removed, [1]);
  t.equal(log.compactedRevision(), log.revision() - 2);
  t.ok(pushed.length > snapshots, "nodes got the changes before their rows were compacted");
  t.same(
    log.list().rows.map(({ kind }) => kind),
    ["Assignment"],
  );
});
