/** Probes at a real door: what the scheduler's token gets, and what others do not. */
import t from "tap";
import { parseClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { createAuthority } from "#platform/identity/authority.ts";
import { signToken, verifyToken } from "#platform/identity/tokens.ts";
import { systemRandom } from "#platform/random.ts";
import { EDGE, FakeAgent, SCHEDULER, World } from "../sessions/door-world.test.ts";

async function probeToken(world: World, changes: object = {}, signer = SCHEDULER, authority = world.authority) {
  const claims = {
    jti: "probe-12345",
    session: "s-12345678",
    pool: "near",
    node: "near-1",
    exp: world.nowSeconds() + 30,
  };
  return signToken(TOKEN_TYPES.probe, { ...claims, ...changes }, await world.signer(signer, authority));
}

const probe = (world: World, token: string, method = "GET") =>
  fetch(`${world.url}/.perigee/v1/probe?token=${encodeURIComponent(token)}`, { method });

t.test("a probe of this node is answered with the pool's free slots, signed, once for all its samples", async (t) => {
  const world = await World.open(t);
  await FakeAgent.start(t, world, "gpu-1", { slots: { total: 4, free: 3 } });
  await FakeAgent.start(t, world, "gpu-2", { slots: { total: 2, free: 2 } });
  await FakeAgent.start(t, world, "gpu-3", { slots: { total: 2, free: 2 }, isReady: false });
  world.setResource("Node/gpu-2", { role: "agent", pool: "near", cordoned: true, draining: false });
  const token = await probeToken(world);
  const responses = [await probe(world, token), await probe(world, token)];
  const bodies = await Promise.all(responses.map((response) => response.text()));
  t.equal(bodies[0], bodies[1]);
  const { answer }: { answer: string } = JSON.parse(bodies[0] ?? "");
  const trust = { kind: "chain", authorities: [world.authority.certificate], roles: ["edge"] } as const;
  const { claims, signer } = await verifyToken(answer, TOKEN_TYPES.probeAnswer, trust, world.clock.nowMs());
  t.match(signer, EDGE);
  const expected = { probe: "probe-12345", node: "near-1", pool: "near", freeSlots: { small: 3 } };
  t.match(parseClaims("probeAnswer", claims), { ...expected, iat: world.nowSeconds(), exp: world.nowSeconds() + 30 });
  const headers = responses[0]?.headers;
  t.equal(headers?.get("cache-control"), "no-store");
  t.equal(headers?.get("access-control-allow-origin"), "*");
  t.equal(headers?.get("timing-allow-origin"), "*");
  await world.clock.advance(36_000);
  t.equal((await probe(world, token)).status, 401, "an answer lives no longer than its token");
});

t.test(
  "a probe that is not for this node, or not by a scheduler of ours, is refused by name and counted",
  async (t) => {
    const world = await World.open(t);
    const stranger = await createAuthority("stranger", { clock: world.clock, random: systemRandom });
    const good = await probeToken(world);
    const cases: readonly [string, string, string][] = [
      ["another node", "permission-denied", await probeToken(world, { node: "near-2" })],
      ["another pool", "permission-denied", await probeToken(world, { pool: "far" })],
      ["another authority", "certificate-untrusted", await probeToken(world, {}, SCHEDULER, stranger)],
      ["an edge's signature", "certificate-untrusted", await probeToken(world, {}, EDGE)],
      ["run out", "token-expired", await probeToken(world, { exp: world.nowSeconds() - 60 })],
      ["forged", "token-invalid", `${good.slice(0, -8)}AAAAAAAA`],
      ["too long", "token-invalid", "x".repeat(16_385 / 2)],
      ["none", "token-invalid", ""],
    ];
    for (const [what, code, token] of cases) {
      const before = await world.counted("probes_refused_total", `code="${code}"`);
      const response = await probe(world, token);
      const body: { code: string } = JSON.parse(await response.text());
      t.equal(body.code, code, what);
      t.equal(await world.counted("probes_refused_total", `code="${code}"`), before + 1, what);
    }
    world.setResource("Revocation/r1", {
      ...{ subject: { kind: "node", name: SCHEDULER.name }, reason: "stolen", subjectExpiresAtMs: 9e12 },
    });
    t.equal((await probe(world, good)).status, 401);
    t.equal((await probe(world, good, "POST")).status, 405);
  },
);

t.test("a ping needs no token and is stored nowhere", async (t) => {
  const world = await World.open(t);
  const response = await fetch(`${world.url}/.perigee/v1/ping`);
  t.equal(response.status, 204);
  t.equal(response.headers.get("cache-control"), "no-store");
});
