import fc from "fast-check";
import t from "tap";
import type { Fields } from "#domain/http/fields.ts";
import { decidePeerCall, type PeerCall, type PeerCallFacts } from "./peer-call.ts";
import {
  DECLINE_REASONS,
  formatDecline,
  formatTierRequest,
  parseDecline,
  parseTierRequest,
  TIER_FIELD,
} from "./tier-fields.ts";

const applied = { epoch: 1, revision: 40 };
const asked = { site: "shop", scheme: "https", host: "shop.example:8443", applied } as const;
const fieldsWith = (text: string, more: readonly [string, string[]][] = []): Fields =>
  new Map([[TIER_FIELD, [text]], ...more]);
const near2 = { role: "edge", pool: "near", name: "near-2", serial: "01" } as const;
const call: PeerCall = { method: "GET", fields: fieldsWith(formatTierRequest(asked)), peer: near2 };
const facts: PeerCallFacts = {
  ...{ view: { childPools: new Set(["below"]) }, pool: "near", applied, isOverloaded: false },
  ...{ isMember: () => true, isRevoked: () => false, isServed: () => "served" },
};
const reasonOf = (given: Partial<PeerCall>, known: Partial<PeerCallFacts> = {}) => {
  const decision = decidePeerCall({ ...call, ...given }, { ...facts, ...known });
  return decision.kind === "decline" ? decision.reason : decision.asker.askedBy;
};

t.test("what edges say to one another comes back as it was, and whatever else arrives is no request", async (t) => {
  const count = fc.nat({ max: 999_999_999_999_999 });
  const ascii = fc.stringMatching(/^[ -~]*$/);
  fc.assert(
    fc.property(ascii, ascii, fc.constantFrom("http", "https"), count, count, (site, host, scheme, epoch, revision) => {
      const said = { site, host, scheme, applied: { epoch, revision } } as const;
      t.same(parseTierRequest(fieldsWith(formatTierRequest(said))), said);
    }),
    { numRuns: 50 },
  );
  for (const text of ["", "site", 'site="a"', 'site="a", scheme=ftp, host="b", epoch=1, purge=1', "\u0000", "a=(("]) {
    t.equal(parseTierRequest(fieldsWith(text)), undefined, JSON.stringify(text));
  }
  fc.assert(
    fc.property(fc.string(), (text) => void [parseTierRequest(fieldsWith(text)), parseDecline(fieldsWith(text))]),
  );
  for (const reason of DECLINE_REASONS) t.equal(parseDecline(fieldsWith(formatDecline(reason))), reason);
  t.equal(parseDecline(fieldsWith("declined=later-word")), "malformed");
  t.equal(parseDecline(new Map()), undefined);
});

t.test("who asks is told by the certificate alone", async (t) => {
  t.equal(reasonOf({}), "sibling");
  t.equal(reasonOf({ peer: { ...near2, pool: "below" } }), "child");
  t.equal(reasonOf({ peer: undefined }), "untrusted");
  t.equal(reasonOf({ peer: { ...near2, pool: "far" } }), "untrusted");
  t.equal(reasonOf({ peer: { ...near2, role: "agent" } }), "untrusted");
  t.equal(reasonOf({}, { isMember: () => false }), "untrusted");
  t.equal(reasonOf({}, { isRevoked: () => true }), "untrusted");
});

t.test("an edge that is behind the asker's purges says so, and one that is ahead answers", async (t) => {
  for (const [epoch, revision, reason] of [
    [1, 39, "behind"],
    [0, 99, "behind"],
    [1, 40, "sibling"],
    [1, 41, "sibling"],
    [2, 0, "sibling"],
  ] as const) {
    t.equal(reasonOf({}, { applied: { epoch, revision } }), reason, `${epoch}/${revision}`);
  }
});

t.test("only GET without content, of a site that is served here, is answered", async (t) => {
  t.equal(reasonOf({ method: "POST" }), "malformed");
  t.equal(reasonOf({ fields: new Map() }), "malformed");
  t.equal(reasonOf({ fields: fieldsWith(formatTierRequest(asked), [["content-length", ["3"]]]) }), "malformed");
  t.equal(
    reasonOf({ fields: fieldsWith(formatTierRequest(asked), [["transfer-encoding", ["chunked"]]]) }),
    "malformed",
  );
  t.equal(reasonOf({}, { isServed: () => "unknown" }), "unknown-site");
  t.equal(reasonOf({}, { isServed: () => "denied" }), "denied");
  t.equal(reasonOf({}, { isOverloaded: true }), "overloaded");
});
