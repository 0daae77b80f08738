/** An edge's own placement as a page reads it: pool and budget of what the edge has signed, nothing of what is none. */
import t from "tap";
import { readEdgePlacement } from "./edge-placement.ts";

const budget = {
  ...{ budgetMs: 50, networkMsP95: 20, renderEncodeMsP95: 18, decodeJitterMs: 9, serialisationMs: 3, rttLimitMs: 20 },
};
const tokenOf = (claims: unknown): string =>
  ["e30", Buffer.from(JSON.stringify(claims)).toString("base64url"), "c2ln"].join(".");

t.test("it says pool and budget, for the edge that made it", async (t) => {
  // With characters that base64url writes otherwise than base64.
  const token = tokenOf({ session: "d-ÿþ>>>???", pool: "near", budget });
  t.match(token.split(".")[1], /[-_]/);
  t.same(readEdgePlacement(token, "http://near"), {
    ...{ state: "placed", decision: undefined, placement: token, pool: "near", edges: ["http://near"], budget },
  });
});

t.test("what is no placement is none", async (t) => {
  const { rttLimitMs: _, ...short } = budget;
  for (const [what, token] of [
    ["nothing", ""],
    ["no token", "a placement"],
    ["no JSON", "e30.e30x.c2ln"],
    ["no object", tokenOf([])],
    ["no pool", tokenOf({ budget })],
    ["no budget", tokenOf({ pool: "near" })],
    ["a part less", tokenOf({ pool: "near", budget: short })],
  ] as const) {
    t.equal(readEdgePlacement(token, "http://near"), undefined, what);
  }
});
