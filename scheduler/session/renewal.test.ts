import t from "tap";
import { parseClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { thumbprintOf } from "#platform/identity/dpop.ts";
import { signToken, verifyToken } from "#platform/identity/tokens.ts";
import { Client, failureOf, placedIn, queueing, start } from "./session-world.test.ts";

t.test("a lost pool: renewal places elsewhere at once, and the same again when its answer is lost", async (t) => {
  const { client, service, session, results, world, explain } = await start(t);
  const first = placedIn(await client.place(service, session, results));
  t.equal(first.pool, "near");
  world.setPool("near", {}, { state: "dead" });
  const lost = { session, placement: first.placement, reason: "pool-lost" as const };
  const second = placedIn(await client.renew(service, lost));
  t.match(second, { state: "placed", pool: "middle", budget: { networkMsP95: 10 } }, "by what the client measured");
  t.equal(placedIn(await client.renew(service, lost)).placement, second.placement);
  t.match(explain.explainSession(session)?.lines.join("\n"), /attempt 2.*pool-lost[\s\S]*note: near: left out/);
  const third = placedIn(await client.renew(service, { session, placement: second.placement, reason: "refused" }));
  t.match(third, { state: "degraded", pool: "far" }, "near is dead, middle has refused");
});

t.test(
  "renewal of a session that runs: kept where nothing is better, moved where something is for a while",
  async (t) => {
    const { client, service, session, results, world, replica } = await start(t, { near: 2, middle: 10 });
    Object.assign(world.pools.get("near")?.slots ?? {}, { free: 0 });
    await world.report(replica);
    const first = placedIn(await client.place(service, session, results));
    t.equal(first.pool, "middle");
    const shown = { session, placement: first.placement };
    t.equal(await client.renew(service, { ...shown, reason: "promotion" }), undefined);
    world.setPool("near", {}, { draining: true });
    world.setPool("far", {}, { draining: true });
    t.equal(await client.renew(service, { ...shown, reason: "draining" }), undefined, "nowhere better to be");
    world.setPool("near", {});
    Object.assign(world.pools.get("near")?.slots ?? {}, { free: 1 });
    const renewLater = async () => {
      await world.clock.advance(20_000);
      await world.report(replica);
      return client.renew(service, { ...shown, reason: "promotion" });
    };
    t.equal(await renewLater(), undefined, "better, but not for long");
    t.match(placedIn(await renewLater()), { state: "placed", pool: "near" });
    t.same(world.counted.slice(-4), ["kept", "kept", "kept", "renew placed"]);
  },
);

t.test("where a session runs it waits for no scene: a newer one still to come moves it nowhere", async (t) => {
  const { client, service, session, results, world } = await start(t);
  const { pool, placement } = placedIn(await client.place(service, session, results));
  t.equal(pool, "near");
  world.missingMs.set("near", 40);
  t.equal(await client.renew(service, { session, placement, reason: "promotion" }), undefined);
  const lost = await client.renew(service, { session, placement, reason: "refused" });
  t.match(placedIn(lost), { pool: "middle" });
});

t.test("why after a renewal says first what came of it, and of what attempt the session is", async (t) => {
  const { client, service, session, results, world, explain } = await start(t, { near: 4, middle: 40 });
  world.policies = [{ name: "eu", spec: queueing }];
  const shown = { session, placement: placedIn(await client.place(service, session, results)).placement };
  const whyAfter = async (reason: "promotion" | "draining" | "pool-lost") => {
    await client.renew(service, { ...shown, reason });
    const lines = explain.explainSession(session)?.lines ?? [];
    t.notMatch(lines.slice(3).join("\n"), /placed:|queued:|rejected:|degraded:/, "one outcome");
    return lines;
  };
  const placed = explain.explainSession(session)?.lines ?? [];
  t.equal(placed[2], "placed: near, no other to choose; render class small");
  const best = await whyAfter("promotion");
  t.match(best[0], /attempt 1, .*promotion$/);
  t.equal(best[2], "kept where it is: near, no other to choose");
  t.equal(best.at(-1), "note: far: left out, its distance is known by geography alone");
  world.setPool("near", {}, { draining: true });
  world.setPool("far", {}, { state: "dead" });
  for (const reason of ["promotion", "draining"] as const) {
    const kept = await whyAfter(reason);
    t.equal(kept[2], "kept where it is: near; nothing better fits, best achievable 56.0 ms", reason);
  }
  world.setPool("far", {});
  const lost = await whyAfter("pool-lost");
  t.match(lost[0], /attempt 2, .*pool-lost$/);
  t.equal(lost[2], "placed: far, no other to choose; render class small", "by geography");
});

t.test("a pool that drains: its session goes where the policy lets a new one go, else it stays", async (t) => {
  const { client, service, session, results, world } = await start(t, { near: 4, middle: 40 });
  const shown = { session, placement: placedIn(await client.place(service, session, results)).placement };
  const renew = () => client.renew(service, { ...shown, reason: "promotion" });
  world.setPool("near", {}, { cordoned: true });
  t.equal(await renew(), undefined, "cordoned: no new sessions, the old ones stay");
  world.setPool("near", {}, { draining: true });
  for (const onNoFit of ["queue", "reject"] as const) {
    world.policies = [{ name: "eu", spec: { ...queueing, onNoFit } }];
    t.equal(await renew(), undefined, `${onNoFit}: nothing is within the limit`);
  }
  world.policies = [];
  t.match(await renew(), { state: "degraded", pool: "middle" }, "far, nearer by geography, answered no probe");
});

t.test("a pool that drains: a pool that came since is as good as its estimate; none at all keeps it", async (t) => {
  const { client, service, session, results, world, replica } = await start(t, { near: 4 });
  const { placement } = placedIn(await client.place(service, session, results));
  world.setPool("near", {}, { draining: true });
  const shown = { session, placement, reason: "promotion" } as const;
  t.equal(await client.renew(service, shown), undefined, "nobody answered but the pool that drains");
  await world.addPool("added");
  await world.report(replica);
  t.match(await client.renew(service, shown), { state: "placed", pool: "added" });
  t.same(world.counted.slice(-2), ["kept", "renew placed"]);
});

t.test("a replica that knows nothing renews another's placement, also long after it was to connect with", async (t) => {
  const { client, service, session, results, world } = await start(t);
  const first = placedIn(await client.place(service, session, results));
  await world.clock.advance(1_800_000);
  const empty = await world.replica("s2");
  const lost = { session, placement: first.placement, reason: "pool-lost" as const };
  const second = placedIn(await client.renew(empty.service, lost));
  t.equal(second.pool, "far", "by geography, of pools as near the first by name");
  const trust = { kind: "chain", ...world.trust, roles: ["scheduler"] } as const;
  const { claims, signer } = await verifyToken(second.placement, TOKEN_TYPES.placement, trust, world.clock.nowMs());
  t.match(parseClaims("placement", claims), { session, attempt: 2, tier: "strict" });
  t.equal(signer?.name, "s2");
});

t.test(
  "a placement that is not the session's own, forged, or older than a session may be renews nothing",
  async (t) => {
    const { client, service, session, results, world } = await start(t);
    world.policies = [{ name: "eu", spec: queueing }];
    const { placement } = placedIn(await client.place(service, session, results));
    const lost = { session, placement, reason: "pool-lost" as const };
    const thief = await Client.create(world);
    const theirs = await start(t);
    const foreign = placedIn(await theirs.client.place(theirs.service, theirs.session, theirs.results));
    const codeOf = async (call: Promise<unknown>) => (await failureOf(call)).code;
    t.equal(await codeOf(thief.renew(service, lost)), "proof-invalid");
    t.equal(await codeOf(client.renew(service, { ...lost, session: "s-another-1" })), "token-invalid");
    t.equal(
      await codeOf(client.renew(service, { ...lost, placement: `${placement.slice(0, -4)}AAAA` })),
      "token-invalid",
    );
    t.equal(await codeOf(client.renew(service, { ...lost, placement: "not.a.token" })), "token-invalid");
    t.equal(await codeOf(client.renew(service, { ...lost, placement: foreign.placement })), "certificate-untrusted");
    const claims = { ...JSON.parse(Buffer.from(placement.split(".")[1] ?? "", "base64url").toString()) };
    const byEdge = await signToken(
      TOKEN_TYPES.placement,
      claims,
      await world.signer({ role: "edge", pool: "far", name: "far-1" }),
    );
    t.equal(
      await codeOf(client.renew(service, { ...lost, placement: byEdge })),
      "token-invalid",
      "of another pool's edge",
    );
    const jkt = await thumbprintOf({ ...thief.key.publicKey });
    const edge = await world.signer({ role: "edge", pool: "near", name: "near-1" });
    const taken = await signToken(TOKEN_TYPES.placement, { ...claims, cnf: { jkt } }, edge);
    t.equal(await codeOf(thief.renew(service, { ...lost, placement: taken })), "token-invalid", "a stolen edge's");
    const own = await signToken(TOKEN_TYPES.placement, { ...claims, session: "s-cut-off-1" }, edge);
    const moved = await client.renew(service, { ...lost, session: "s-cut-off-1", placement: own });
    t.match(moved, { state: "placed", pool: "middle" }, "its own edge placed it while cut off");
    await world.clock.advance((queueing.sessionSecondsMax + 31) * 1000);
    t.equal(await codeOf(client.renew(service, lost)), "token-expired");
  },
);
