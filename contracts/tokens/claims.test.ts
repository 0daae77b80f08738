import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { parseClaims } from "./claims.ts";

const placement = {
  session: "s-12345678",
  attempt: 1,
  app: "hall",
  tier: "strict",
  pool: "near",
  renderClass: "small",
  cnf: { jkt: "a".repeat(43) },
  exp: 1_800_000_000,
  budget: {
    budgetMs: 30,
    networkMsP95: 4,
    renderEncodeMsP95: 9,
    decodeJitterMs: 3,
    serialisationMs: 2,
    rttLimitMs: 16,
  },
};

function isRefused(kind: "placement" | "resume" | "operator", claims: unknown): boolean {
  try {
    parseClaims(kind, claims);
    return false;
  } catch (error) {
    return isFailure(error, "token-invalid");
  }
}

t.test("claims of the right shape pass unchanged", async (t) => {
  t.equal(parseClaims("placement", placement), placement);
  t.strictSame(parseClaims("operator", { sub: "first", scopes: ["publish:shop"], jti: "12345678", exp: 1 }).scopes, [
    "publish:shop",
  ]);
});

t.test("claims that lack, exceed or twist a field are refused", async (t) => {
  t.ok(isRefused("placement", { ...placement, attempt: 0 }), "attempt 0");
  t.ok(isRefused("placement", { ...placement, extra: 1 }), "unknown field");
  t.ok(isRefused("placement", { ...placement, cnf: {} }), "no key");
  t.ok(isRefused("resume", placement), "a placement is no resume ticket");
  t.ok(isRefused("operator", { sub: "x", scopes: ["root"], jti: "12345678", exp: 1 }), "unknown scope");
  t.ok(isRefused("operator", undefined), "nothing");
});
