import t from "tap";
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { type AnyResource, API_VERSION, type Kind, type SpecByKind } from "#domain/resource.ts";
import { Fleet } from "./fleet.ts";

function resource<K extends Kind>(kind: K, name: string, spec: SpecByKind[K], labels = {}): [string, AnyResource] {
  const metadata = { name, labels, generation: 1, resourceVersion: 1, createdAtMs: 0 };
  return [`${kind}/${name}`, parseStoredResource(JSON.stringify({ apiVersion: API_VERSION, kind, metadata, spec }))];
}

const coordinates = { latitude: 38.72, longitude: -9.14 };
const near = resource(
  "NodePool",
  "near",
  { region: "eu", coordinates, autonomyDurationSeconds: 60, relay: true },
  { zone: "eu" },
);
const member = (name: string, role: "edge" | "agent", changes = {}) =>
  resource("Node", name, { role, pool: "near", cordoned: false, draining: false, ...changes });
const entry = (node: string) => ({ node, pool: "near", contentUrl: `http://${node}.table`, hostname: `${node}.table` });
const table = resource("SteeringTable", "near", { pool: "near", edges: [entry("e1"), entry("e2")] });

function status(node: string) {
  const counts = { epoch: 1, appliedRevision: 1, storeBytesUsed: 0, storeBytesMax: 0, certificateExpiresAtMs: 0 };
  const address = { contentUrl: `http://${node}.now`, hostname: `${node}.now` };
  return { incarnation: "1", softwareVersion: "0.1.0", ...address, ...counts, conditions: [], sites: [], agents: [] };
}

t.test(
  "an edge's address is what it says, before that what the last table says; without one it is no candidate",
  async (t) => {
    const fleet = new Fleet();
    fleet.setDesired(new Map([near, member("e1", "edge"), member("e2", "edge"), member("e3", "edge"), table]));
    const urls = () => fleet.findPool("near")?.edges.map(({ contentUrl }) => contentUrl);
    t.same(urls(), ["http://e1.table", "http://e2.table"]);
    fleet.setObserved({ node: "e1", linkUp: true, status: status("e1") });
    fleet.setObserved({ node: "e3", linkUp: true, status: status("e3") });
    t.same(urls(), ["http://e1.now", "http://e2.table", "http://e3.now"]);
    t.same(fleet.findEdge("e2")?.sites, undefined, "of which nothing is known but the address");
    fleet.retainObserved(new Set(["e3"]));
    t.same(urls(), ["http://e1.table", "http://e2.table", "http://e3.now"]);
  },
);

t.test("cordons are the operator's, standings the watch's; what is revoked or deleted is no member", async (t) => {
  const fleet = new Fleet();
  const agents = [member("a1", "agent", { draining: true }), member("a2", "agent")];
  const members = [near, member("e1", "edge", { cordoned: true }), member("e2", "edge"), ...agents];
  fleet.setDesired(new Map([...members, table]));
  t.match(fleet.findPool("near"), { labels: { zone: "eu" }, excludedAgents: new Set(["a1"]) });
  fleet.setStanding("e1", { state: "connected", isHeard: true });
  const facts = () => fleet.listPools()[0]?.edges.map(({ node, state, cordoned }) => `${node} ${state} ${cordoned}`);
  t.same(facts(), ["e1 connected true", "e2 cut-off false"]);
  const subject = { kind: "node", name: "e1" } as const;
  const revocation = resource("Revocation", "r", { subject, reason: "stolen", subjectExpiresAtMs: 1 });
  fleet.setDesired(new Map([...members, table, revocation]));
  t.same(facts(), ["e2 cut-off false"]);
  t.same(fleet.listEdgeNames(), ["e2"]);
  fleet.setDesired(new Map([near]));
  t.same(facts(), []);
  fleet.setDesired(new Map());
  t.same(fleet.listPools(), []);
});

t.test(
  "sessions of a pool are what any of its edges tells of its agents; a pool that is cut off may run any",
  async (t) => {
    const fleet = new Fleet();
    fleet.setDesired(new Map([near, member("e1", "edge"), member("e2", "edge"), table]));
    const agentOf = (...sessions: string[]) => ({
      ...{ agent: "a", incarnation: "1", ready: true, reasons: [], slots: [] },
      sessions: sessions.map((session) => ({
        ...{ session, attempt: 1, app: "hall", renderClass: "small" },
        ...{ startedAtMs: 0, remotePathMsP50: 0, remotePathMsP95: 0, rttMs: 0 },
      })),
    });
    const has = (session: string) => fleet.findPool("near")?.hasSession?.(session);
    t.equal(has("s1"), true, "nobody tells");
    fleet.setObserved({ node: "e1", linkUp: true, status: { ...status("e1"), agents: [agentOf("s1")] } });
    fleet.setObserved({ node: "e2", linkUp: true, status: { ...status("e2"), agents: [agentOf("s1", "s2")] } });
    t.same([has("s1"), has("s2"), has("s3")], [true, true, false]);
    t.same([fleet.findPool("near")?.countSessions?.("hall"), fleet.findPool("near")?.countSessions?.("else")], [2, 0]);
    fleet.setObserved({ node: "e1", linkUp: false, status: status("e1") });
    fleet.setObserved({ node: "e2", linkUp: false, status: status("e2") });
    t.equal(has("s3"), true);
  },
);
