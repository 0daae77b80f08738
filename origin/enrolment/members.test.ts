/** A member is enrolled in its role and pool and not revoked, by name or by certificate; a change is told at once. */
import t from "tap";
import { decodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { writeResource } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { Distribution } from "../node-rpc/distribution.ts";
import { Members } from "./members.ts";

const near1 = { role: "edge" as const, pool: "near", name: "near-1", serial: "01ab" };

function openMembers() {
  const log = openSqliteLog(":memory:");
  const members = new Members(log);
  const enrol = (name: string, pool: string) => {
    const spec = { role: "edge" as const, pool, cordoned: false, draining: false };
    writeResource(log, { kind: "Node", metadata: { name, labels: {} }, spec }, 1);
  };
  const revoke = (name: string, subject: { name: string; certificateSerial?: string }) => {
    const spec = { subject: { kind: "node" as const, ...subject }, reason: "stolen", subjectExpiresAtMs: 9 };
    writeResource(log, { kind: "Revocation", metadata: { name, labels: {} }, spec }, 1);
  };
  enrol("near-1", "near");
  return { log, members, revoke };
}

t.test("who is not enrolled in this role and pool is no member", (t) => {
  const { members } = openMembers();
  t.equal(members.check(near1, ["edge"]), near1);
  t.throws(() => members.check(undefined, ["edge"]), { code: "certificate-untrusted" });
  t.throws(() => members.check(near1, ["scheduler"]), { code: "certificate-untrusted" });
  t.throws(() => members.check({ ...near1, pool: "far" }, ["edge"]), { code: "permission-denied" });
  t.throws(() => members.check({ ...near1, name: "near-2" }, ["edge"]), { code: "permission-denied" });
  t.end();
});

t.test("a revocation of one certificate leaves the node's next one, a revocation of the node none", (t) => {
  const { members, revoke } = openMembers();
  revoke("lost-key", { name: "near-1", certificateSerial: "01ab" });
  t.throws(() => members.check(near1, ["edge"]), { code: "permission-denied" });
  t.ok(members.check({ ...near1, serial: "01cd" }, ["edge"]));
  revoke("stolen", { name: "near-1" });
  t.throws(() => members.check({ ...near1, serial: "01cd" }, ["edge"]), { code: "permission-denied" });
  t.end();
});

t.test("a revocation outlives the compaction of the log: here, and in what a pool begins with", (t) => {
  const { log, members, revoke } = openMembers();
  revoke("stolen", { name: "near-1" });
  const spec = { pool: "near", sites: [], apps: [] };
  for (const name of ["a", "b"]) {
    writeResource(log, { kind: "Assignment", metadata: { name, labels: {} }, spec }, 1);
  }
  log.compact(log.revision());
  t.equal(log.compactedRevision(), log.revision());
  t.throws(() => members.check(near1, ["edge"]), { code: "permission-denied" });
  const told: string[] = [];
  const push = ({ payload }: { payload: Uint8Array }) => {
    for (const { kind, name } of decodePoolBatch(payload).rows) told.push(`${kind}/${name}`);
  };
  using _subscribed = new Distribution(log, generateSigningKey()).subscribe("near", undefined, { push });
  t.ok(told.includes("Revocation/stolen"), told.join());
  t.end();
});

t.test("listeners hear of their node and its revocations, and of nothing else", async (t) => {
  const { log, members, revoke } = openMembers();
  const stop = new AbortController();
  const heard = Promise.withResolvers<number>();
  const following = members.follow(stop.signal);
  using _listening = members.onChange("near-1", () => heard.resolve(log.revision()));
  using _other = members.onChange("near-2", () => heard.reject(new Error("of another node")));
  const spec = { pool: "near", sites: [], apps: [] };
  writeResource(log, { kind: "Assignment", metadata: { name: "near", labels: {} }, spec }, 1);
  revoke("stolen", { name: "near-1" });
  t.equal(await heard.promise, 3);
  stop.abort();
  await following;
});
