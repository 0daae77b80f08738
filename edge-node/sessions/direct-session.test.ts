/** Sessions that an edge places itself: the decision, and the whole call by an app token. */
import t from "tap";
import { parseClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { selectPolicy } from "#domain/placement/policy-selection.ts";
import type { PlacementPolicySpec } from "#domain/policy/placement-policy.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { verifyToken } from "#platform/identity/tokens.ts";
import { until } from "../../test/simulation/until.ts";
import { decideDirect } from "./direct-session.ts";
import { EDGE, FakeAgent, openClient, World } from "./door-world.test.ts";

const policySpec: PlacementPolicySpec = {
  ...{ apps: ["hall"], sites: [], latencyBudgetMs: {}, preferences: [], capacityReserveRatio: 0.25 },
  constraints: [{ label: "region", operator: "In", values: ["eu"] }],
  onNoFit: "degrade",
  ...{ sessionSecondsMax: 3600, stickinessMs: 2 },
};

const facts: Parameters<typeof decideDirect>[0] = {
  pool: "near",
  labels: { region: "eu" },
  isCutOff: true,
  isClosed: false,
  app: {
    bundle: { site: "scenes", path: "/hall.json" },
    needs: { gpuShareRatio: 0.5, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 14_400_000 },
    classes: [
      { name: "large", eyeWidthPixels: 512, eyeHeightPixels: 512, frameRateHz: 72 },
      { name: "small", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 72 },
    ],
  },
  policy: selectPolicy([{ name: "eu", spec: policySpec }], "hall", "strict"),
  token: { sub: "hall", maxSessions: 10 },
  appSessions: 0,
  directSessions: 0,
  freeSlots: { large: 4, small: 8 },
  slotsTotal: 8,
  frameMsP95: (renderClass) => (renderClass === "large" ? 12 : 8),
};

t.test("a direct session gets the app's first class with a free slot, and an honest budget", async (t) => {
  const budget = { budgetMs: 30, renderEncodeMsP95: 12, decodeJitterMs: 6, serialisationMs: 2, rttLimitMs: 10 };
  t.same(decideDirect(facts), { kind: "place", renderClass: "large", budget: { ...budget, networkMsP95: 10 } });
  t.match(decideDirect({ ...facts, freeSlots: { large: 0, small: 8 } }), { renderClass: "small" });
  t.match(decideDirect({ ...facts, frameMsP95: (name) => (name === "small" ? 40 : undefined) }), {
    ...{ renderClass: "small", budget: { networkMsP95: 0, rttLimitMs: -18 } },
  });
});

t.test("policy, cordon, caps, reserve and share are kept, also without a scheduler", async (t) => {
  const cases: readonly [string, string, Partial<typeof facts>][] = [
    ["the app is not known", "not-found", { app: undefined }],
    ["the edge is cordoned", "placement-refused", { isClosed: true }],
    ["the pool is outside the policy", "placement-refused", { labels: { region: "us" } }],
    ["the app is at its cap", "overloaded", { appSessions: 10 }],
    ["the reserve is left free", "no-pool-fits", { freeSlots: { large: 2, small: 2 } }],
    ["no slot is free", "no-pool-fits", { freeSlots: {} }],
    ["there is a scheduler, and the share is used", "overloaded", { isCutOff: false, directSessions: 1 }],
  ];
  for (const [what, code, changes] of cases) {
    t.match(decideDirect({ ...facts, ...changes }), { kind: "refuse", failure: { code } }, what);
  }
  t.match(decideDirect({ ...facts, isCutOff: false }), { kind: "place" }, "one is always in the share");
  t.match(decideDirect({ ...facts, isCutOff: false, slotsTotal: 20, directSessions: 1, freeSlots: { large: 20 } }), {
    kind: "place",
  });
});

t.test("cut off, an app token alone gets a session placed by the edge, which a scheduler can take over", async (t) => {
  const world = await World.open(t);
  world.isCutOff = true;
  const agent = await FakeAgent.start(t, world, "gpu-1");
  const client = await openClient(world);
  const appToken = await world.appToken();
  const { status, body } = await world.connect(client, { appToken, tier: "relaxed" });
  t.equal(status, 200);
  const trust = { kind: "chain", authorities: [world.authority.certificate], roles: ["edge"] } as const;
  const { claims, signer } = await verifyToken(body.placement, TOKEN_TYPES.placement, trust, world.clock.nowMs());
  t.match(signer, EDGE);
  t.match(parseClaims("placement", claims), {
    ...{ session: body.session, attempt: 1, app: "hall", tier: "relaxed", pool: "near", renderClass: "small" },
    ...{ cnf: { jkt: client.thumbprint }, budget: { budgetMs: 70 } },
  });
  t.same(agent.requests[0]?.grant, body.placement);
  const again = await world.connect(client, { appToken, tier: "relaxed" });
  t.equal(again.body.session, body.session, "a lost answer costs no second slot");
  const other = await world.connect(await openClient(world), { appToken });
  t.not(other.body.session, body.session);
  const resumed = await world.connect(client, { resume: body.resume });
  t.match(resumed.body, { session: body.session });
  t.notOk("placement" in resumed.body);
  t.equal((await world.callSession(client, body.session, "end")).status, 204);
  t.not((await world.connect(client, { appToken })).body.session, body.session, "after its end another one");
});

t.test("app tokens of others, run out, revoked, or for another app get nothing", async (t) => {
  const world = await World.open(t);
  world.isCutOff = true;
  const agent = await FakeAgent.start(t, world, "gpu-1");
  const client = await openClient(world);
  const codeFor = async (token: string) => (await world.connect(client, { appToken: token })).body.code;
  t.equal(await codeFor(await world.appToken({}, generateSigningKey())), "token-invalid");
  t.equal(await codeFor(await world.appToken({ exp: world.nowSeconds() - 60 })), "token-expired");
  t.equal(await codeFor(await world.appToken({ sub: "other" })), "not-found");
  t.equal(await codeFor("no token"), "token-invalid");
  const subject = { kind: "token", id: "app-token-1" };
  world.setResource("Revocation/r1", { subject, reason: "leaked", subjectExpiresAtMs: 9e12 });
  t.equal(await codeFor(await world.appToken()), "token-revoked");
  const key = { kind: "key", keyId: world.tokenKey.keyId };
  world.setResource("Revocation/r2", { subject: key, reason: "leaked", subjectExpiresAtMs: 9e12 });
  t.equal(await codeFor(await world.appToken({ jti: "app-token-2" })), "token-invalid");
  t.equal(agent.requests.length, 0);
});

t.test("while there is a link, only a small share goes past the scheduler", async (t) => {
  const world = await World.open(t);
  await FakeAgent.start(t, world, "gpu-1");
  const appToken = await world.appToken();
  t.equal((await world.connect(await openClient(world), { appToken })).status, 200);
  await until(() => world.door.agentStatuses()[0]?.sessions.length === 1, "reported");
  const second = await world.connect(await openClient(world), { appToken });
  t.match([second.status, second.body.code], [503, "overloaded"]);
  world.isCutOff = true;
  t.equal((await world.connect(await openClient(world), { appToken })).status, 200);
});

t.test("an edge alone keeps to the policy of the token's tenant, expressions too, and signs whose it is", async (t) => {
  const world = await World.open(t);
  world.isCutOff = true;
  await FakeAgent.start(t, world, "gpu-1");
  const expression = 'pool.name == "near" && pool.region == "elsewhere"';
  world.setResource("PlacementPolicy/everybody", policySpecOf({}));
  world.setResource(
    "PlacementPolicy/acme",
    policySpecOf({ match: { tenants: ["acme"] }, constraints: [{ expression }] }),
  );
  const connect = async (changes: object) => {
    const appToken = await world.appToken(changes);
    return (await world.connect(await openClient(world), { appToken })).body;
  };
  t.match(await connect({ jti: "app-token-2", tenant: "acme" }), { code: "placement-refused", detail: /policy acme/ });
  const { placement } = await connect({ jti: "app-token-3", tenant: "other" });
  const trust = { kind: "chain", authorities: [world.authority.certificate], roles: ["edge"] } as const;
  const { claims } = await verifyToken(placement, TOKEN_TYPES.placement, trust, world.clock.nowMs());
  t.equal(parseClaims("placement", claims).tenant, "other");
});

function policySpecOf(changes: object) {
  return { ...policySpec, capacityReserveRatio: 0, constraints: [], ...changes };
}
