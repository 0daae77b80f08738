import t from "tap";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { findResource, writeResource } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { applyDocuments } from "../operator-api/apply.ts";
import { PEER_ADDRESS_MS_MIN, PeerAddresses } from "./peer-addresses.ts";

t.test("what an edge says is written once, taken back with it, and not more often than the limit", async (t) => {
  using log = openSqliteLog(":memory:");
  const clock = new VirtualClock();
  const addresses = new PeerAddresses(log, clock);
  const spec = { role: "edge" as const, pool: "near", cordoned: true, draining: false };
  writeResource(log, { kind: "Node", metadata: { name: "near-1", labels: { rack: "a" } }, spec }, 1);
  const near1 = { name: "near-1" };
  t.equal(await addresses.note(near1, "10.0.0.1:7423"), true);
  t.match(findResource(log, "Node", "near-1"), {
    metadata: { labels: { rack: "a" } },
    spec: { ...spec, peerAddress: "10.0.0.1:7423" },
  });
  const { revision } = log.list();
  t.equal(await addresses.note(near1, "10.0.0.1:7423"), true);
  t.equal(await addresses.note(near1, "10.0.0.2:7423"), false, "too soon");
  t.equal(log.revision(), revision);
  await clock.advance(PEER_ADDRESS_MS_MIN);
  t.equal(await addresses.note(near1, undefined), true);
  t.same(findResource(log, "Node", "near-1")?.spec, spec);
  t.equal(await addresses.note({ name: "gone" }, "10.0.0.1:7423"), true, "a node that was deleted is not made again");
  await t.rejects(addresses.note(near1, "nowhere"), { code: "argument-invalid" });
});

t.test("an operator who cordons a node leaves its address as it is", async (t) => {
  using log = openSqliteLog(":memory:");
  const spec = { role: "edge" as const, pool: "near", cordoned: false, draining: false, peerAddress: "10.0.0.1:7423" };
  writeResource(log, { kind: "Node", metadata: { name: "near-1", labels: {} }, spec }, 1);
  const given = (more: object) => ({
    ...{ apiVersion: "perigee.dev/v1", kind: "Node", metadata: { name: "near-1" } },
    spec: { role: "edge", pool: "near", cordoned: true, ...more },
  });
  for (const more of [{}, { peerAddress: "10.0.0.9:1" }]) {
    await applyDocuments(log, [given(more)], { dryRun: false, nowMs: 2 });
    t.same(findResource(log, "Node", "near-1")?.spec, { ...spec, cordoned: true });
  }
});
