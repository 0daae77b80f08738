/** The status page tells connected, cut off and dead apart, says who serves what, and escapes what nodes and operators wrote. */
import t from "tap";
import type { NodeStatus } from "#domain/fleet/node.ts";
import { duration } from "./html.ts";
import { type PageFacts, renderPage } from "./page.ts";

const DAY_MS = 86_400_000;
const envelope = { apiVersion: "perigee.dev/v1" as const };
const metadata = (name: string) => ({ name, labels: {}, generation: 1, resourceVersion: 1, createdAtMs: 0 });
const node = (name: string, more: Partial<{ role: "edge" | "agent"; draining: boolean }> = {}) => ({
  ...envelope,
  kind: "Node" as const,
  metadata: metadata(name),
  spec: { role: "edge" as const, pool: "near", cordoned: false, draining: false, ...more },
});
const statusOf = (changes: Partial<NodeStatus>): NodeStatus => ({
  incarnation: "one",
  softwareVersion: "0.1.0",
  contentUrl: "http://127.0.0.1:1",
  hostname: "near-1.example",
  epoch: 1,
  appliedRevision: 5,
  storeBytesUsed: 1_500_000,
  storeBytesMax: 10_000_000_000,
  certificateExpiresAtMs: 20 * DAY_MS,
  conditions: [],
  sites: [],
  agents: [],
  ...changes,
});
const facts: PageFacts = { revision: 5, nowMs: DAY_MS, pools: [], nodes: [], sites: [], releases: [], observed: [] };
const link = { pool: "near", linkUp: true, linkSinceMs: DAY_MS - 300_000 };

/** The words of each row of a table, without markup. */
function rowsOf(html: string, title: string): string[] {
  const body = html.split(`<h2>${title}</h2>`)[1]?.split("</tbody>")[0]?.split("<tbody>")[1] ?? "";
  return body.split("</tr>").map((row) =>
    row
      .replaceAll(/<\/td>/g, " | ")
      .replaceAll(/<[^>]+>/g, "")
      .trim(),
  );
}

t.test("connected, cut off, link down, dead and never connected read differently", (t) => {
  const observed = [
    { node: "up", ...link, status: statusOf({}) },
    { node: "alone", ...link, linkUp: false, state: { state: "cut-off" as const, sinceMs: DAY_MS - 7_200_000 } },
    { node: "silent", ...link, linkUp: false },
    { node: "gone", ...link, linkUp: false, state: { state: "dead" as const, sinceMs: DAY_MS - 60_000 } },
    { node: "relayed", ...link, relayedBy: "up" },
  ];
  const nodes = [
    node("up", { draining: true }),
    node("alone"),
    node("silent"),
    node("gone"),
    node("new"),
    node("relayed"),
  ];
  const html = renderPage({ ...facts, nodes, observed });
  const rows = rowsOf(html, "Nodes");
  t.match(rows[0], "connected, for 5 min, draining | 5 of 5 | 1.5 MB of 10000 MB | 19 d left");
  t.match(rows[1], "cut off, serves on its own, for 2 h");
  t.match(rows[2], "link down, for 5 min");
  t.match(rows[3], "dead, for 60 s");
  t.match(rows[4], "never connected | –");
  t.match(rows[5], "connected, by up, for 5 min");
  t.match(html, "6 nodes: 2 connected, 2 cut off, 1 dead");
  t.match(html, "prefers-color-scheme:dark");
  t.notMatch(html, "<script");
  t.end();
});

t.test("sites show the newest generation and what each pool's nodes serve", (t) => {
  const manifest = { digest: "a".repeat(64), sizeBytes: 1, signature: "", keyId: "k" };
  const spec = { site: "shop", generation: 7, manifest, activateAtMs: 0 };
  const site = { site: "shop", activeGeneration: 7, desiredGeneration: 7, objectsMissing: 0 };
  const html = renderPage({
    ...facts,
    sites: [
      { ...envelope, kind: "Site", metadata: metadata("shop"), spec: { hostnames: ["shop.example"] } },
      {
        ...envelope,
        kind: "Site",
        metadata: metadata("front"),
        spec: {
          hostnames: ["front.example"],
          pull: { upstream: "http://up.example", connectTimeoutMs: 1, responseTimeoutMs: 1 },
        },
      },
    ],
    releases: [{ ...envelope, kind: "Release", metadata: metadata("shop.7"), spec }],
    observed: [
      { node: "near-1", ...link, status: statusOf({ sites: [site] }) },
      {
        node: "far-1",
        ...link,
        pool: "far",
        status: statusOf({ sites: [{ ...site, activeGeneration: 6, objectsMissing: 3 }] }),
      },
    ],
  });
  const rows = rowsOf(html, "Sites");
  t.match(
    rows[0],
    "shop | shop.example | generation 7 | far (far-1: generation 6, 3 objects on demand)near (near-1: generation 7)",
  );
  t.match(rows[1], "front | front.example | pulled from http://up.example | every pool, on demand");
  t.end();
});

t.test("an agent's slots and problems are told by the edges of its pool, each agent once", (t) => {
  const slots = [{ renderClass: "cpu", total: 2, free: 1, frameMsP95: 9 }];
  const agent = { agent: "gpu-1", incarnation: "one", ready: false, reasons: ["Calibrating"], slots, sessions: [] };
  const html = renderPage({
    ...facts,
    pools: [
      {
        ...envelope,
        kind: "NodePool",
        metadata: metadata("near"),
        spec: {
          region: "eu",
          coordinates: { latitude: 0, longitude: 0 },
          autonomyDurationSeconds: 86_400,
          relay: false,
        },
      },
    ],
    nodes: [node("near-1"), node("near-2"), node("gpu-1", { role: "agent" })],
    observed: ["near-1", "near-2"].map((name) => ({ node: name, ...link, status: statusOf({ agents: [agent] }) })),
  });
  t.match(rowsOf(html, "Pools")[0], "near | eu | 2 of 2 | 0 of 2 | 24 h | 1 of 2");
  t.match(rowsOf(html, "Nodes")[2], "gpu-1 | agent | near | connected, by near-1, near-2 |");
  t.match(rowsOf(html, "Nodes")[2], "| 1 of 2 | Calibrating");
  t.end();
});

t.test("what nodes and operators wrote is text, never markup", (t) => {
  const evil = "<script>alert(1)</script>";
  const condition = { type: "StoreHealthy" as const, status: false, reason: evil, message: "", sinceMs: 0 };
  const sites = [{ site: "shop", activeGeneration: 1, desiredGeneration: 1, objectsMissing: 0 }];
  const html = renderPage({
    ...facts,
    nodes: [node("near-1")],
    sites: [{ ...envelope, kind: "Site", metadata: metadata("shop"), spec: { hostnames: [evil] } }],
    observed: [
      { node: evil, ...link, status: statusOf({ sites }) },
      { node: "near-1", ...link, status: statusOf({ conditions: [condition] }) },
    ],
  });
  t.notMatch(html, "<script>");
  t.match(html, "StoreHealthy: &#60;script&#62;");
  t.end();
});

t.test("a time is told in a unit that a person reads", (t) => {
  const cases = { 0: "0 s", 1999: "1 s", 119000: "119 s", 120000: "2 min", 7200000: "2 h", 172800000: "2 d" };
  for (const [ms, text] of Object.entries(cases)) t.equal(duration(Number(ms)), text, ms);
  t.end();
});
