import t from "tap";
import { decideRedirect, type SteeringFacts, steerBy } from "./cut-off-steering.ts";

const entry = (node: string, pool = "near") => ({
  ...{ node, pool, contentUrl: `http://${node}.edge.test:7420` },
  hostname: `${node}.edge.test`,
});
const facts: SteeringFacts = {
  isCutOff: true,
  node: "near-1",
  pool: "near",
  edges: () => [entry("near-2"), entry("near-1"), entry("far-1", "far")],
  isServedHere: () => false,
};
const question = { site: "shop", isByOwnHostname: true };

t.test(
  "a cut-off edge sends on only what it cannot serve, to the first other edge, by that node's own name",
  async (t) => {
    t.same(decideRedirect(facts, question), {
      kind: "redirect",
      to: "http://shop.near-2.edge.test:7420",
      node: "near-2",
    });
    const stays: readonly [string, Partial<SteeringFacts>, typeof question][] = [
      ["the link stands", { isCutOff: false }, question],
      ["it serves the site", { isServedHere: () => true }, question],
      ["the name is a node's: it was sent here", {}, { ...question, isByOwnHostname: false }],
      ["it knows no other edge", { edges: () => [entry("near-1")] }, question],
      ["it has no table", { edges: () => [] }, question],
    ];
    for (const [what, changes, asked] of stays) {
      t.same(decideRedirect({ ...facts, ...changes }, asked), { kind: "serve-here" }, what);
    }
  },
);

t.test("its JSON answer ranks itself first where it serves the site, and says that nothing was measured", async (t) => {
  const nodes = (changes: Partial<SteeringFacts>) =>
    steerBy({ ...facts, ...changes }, "shop")?.edges.map((e) => e.node);
  t.same(nodes({ isServedHere: () => true }), ["near-1", "near-2", "far-1"]);
  t.same(nodes({}), ["near-2", "far-1", "near-1"]);
  t.match(steerBy(facts, "shop"), { edges: [{ rttMs: 0, source: "table" }], probes: [], group: "pool:near" });
  t.equal(nodes({ isCutOff: false }), undefined);
  t.equal(nodes({ edges: () => [] }), undefined);
});
