/** The status page says who is linked and serves what, and escapes what nodes and operators wrote. */
import t from "tap";
import { renderPage } from "./page.ts";

const metadata = (name: string) => ({ name, labels: {}, generation: 1, resourceVersion: 1, createdAtMs: 0 });
const envelope = { apiVersion: "perigee.dev/v1" as const };

t.test("nodes show their state, sites who serves them, and text is escaped", (t) => {
  const spec = { role: "edge" as const, pool: "near", cordoned: false, draining: true };
  const status = {
    incarnation: "one",
    softwareVersion: "0.1.0",
    contentUrl: "http://127.0.0.1:1",
    hostname: "near-1.example",
    epoch: 1,
    appliedRevision: 4,
    storeBytesUsed: 0,
    storeBytesMax: 1,
    certificateExpiresAtMs: 86_400_000,
    conditions: [
      { type: "StoreHealthy" as const, status: false, reason: "<script>alert(1)</script>", message: "", sinceMs: 0 },
    ],
    sites: [{ site: "shop", activeGeneration: 7, desiredGeneration: 7, objectsMissing: 0 }],
    agents: [],
  };
  const html = renderPage({
    revision: 5,
    nowMs: 0,
    pools: [],
    nodes: [{ ...envelope, kind: "Node", metadata: metadata("near-1"), spec }],
    sites: [{ ...envelope, kind: "Site", metadata: metadata("shop"), spec: { hostnames: ["shop.example"] } }],
    observed: [
      { node: "near-1", pool: "near", linkUp: false, linkSinceMs: 0, status, state: { state: "cut-off", sinceMs: 0 } },
    ],
  });
  t.match(html, "cut-off, draining");
  t.match(html, "near-1 (7)");
  t.match(html, "4 of 5");
  t.match(html, "1.0 days left");
  t.notMatch(html, "<script>");
  t.end();
});
