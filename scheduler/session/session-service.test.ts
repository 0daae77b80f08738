import t from "tap";
import { Value } from "typebox/value";
import { placementAnswerSchema } from "#contracts/operator-api/sessions.ts";
import { parseClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { Failure } from "#domain/failure.ts";
import { verifyToken } from "#platform/identity/tokens.ts";
import { BASE, Client, failureOf, placedIn, queueing, RTT, start, World } from "./session-world.test.ts";

t.test(
  "a session goes to the nearest pool by its probes, with the budget's parts, a signed placement and a why",
  async (t) => {
    const { world, client, service, session, results, explain, ledger } = await start(t, {
      near: 9,
      middle: 5,
      far: 60,
    });
    const answer = placedIn(await client.place(service, session, results));
    t.match(answer, { state: "placed", pool: "middle", edges: ["http://middle-1.test"] });
    const budget = {
      budgetMs: 30,
      networkMsP95: 5,
      renderEncodeMsP95: 8,
      decodeJitterMs: 6,
      serialisationMs: 2,
      rttLimitMs: 14,
    };
    t.same(answer.budget, budget);
    const trust = { kind: "chain", ...world.trust, roles: ["scheduler"] } as const;
    const verified = await verifyToken(answer.placement, TOKEN_TYPES.placement, trust, world.clock.nowMs());
    const claims = parseClaims("placement", verified.claims);
    t.match(claims, { session, attempt: 1, app: "hall", tier: "strict", pool: "middle", renderClass: "small", budget });
    t.equal(claims.exp, Math.floor(world.clock.nowMs() / 1000) + 30);
    const lines = explain.explain(answer.decision)?.lines ?? [];
    t.match(
      lines.join("\n"),
      /placed: middle, ahead by 4\.0 ms[\s\S]*far: RTT 60\.0 ms \(measured\).*fails over-limit/,
    );
    t.same(explain.explainSession(session)?.lines, lines);
    t.equal(await ledger.countSessions("hall"), 1);
    t.same(world.counted, ["created", "place placed"]);
  },
);

t.test(
  "a pool that lacks the scene counts as farther by what waiting for it costs, and why names the term",
  async (t) => {
    const { client, service, session, results, explain, world } = await start(t, { near: 4, middle: 10 });
    world.missingMs.set("near", 8);
    const answer = placedIn(await client.place(service, session, results));
    t.match(answer, { pool: "middle", budget: { rttLimitMs: 14 } }, "it takes nothing of the budget");
    const lines = explain.explain(answer.decision)?.lines.join("\n");
    t.match(lines, /placed: middle, ahead by 2\.0 ms/);
    t.match(lines, /near: RTT 4\.0 ms .*; score 12\.0 = rtt 4\.0 .* \+ missing bundle 8\.0/);
    t.notMatch(lines, /middle: .*missing bundle/);
  },
);

t.test(
  "a placement brings the servers that are configured, with the session's own credentials; without none",
  async (t) => {
    const { world, client, service, session, results } = await start(t);
    t.notOk("iceServers" in (await client.place(service, session, results)));
    const iceServers = {
      forUser: (user: string, nowMs: number) => [
        { urls: ["turn:relay.example"], username: `${nowMs}:${user}`, credential: "c" },
      ],
    };
    const relayed = await world.replica("s2", undefined, { iceServers });
    const created = await client.create(relayed.service);
    const answer = await client.place(relayed.service, created.session, await client.results(created.candidates, RTT));
    const username = `${world.clock.nowMs()}:${created.session}`;
    t.match(answer, { iceServers: [{ urls: ["turn:relay.example"], username, credential: "c" }] });
    t.ok(Value.Check(placementAnswerSchema, JSON.parse(JSON.stringify(answer))), "of the API's shape");
  },
);

t.test("the same call again, its answer lost, gives the same placement and takes no second slot", async (t) => {
  const { world, client, service, session, results, ledger } = await start(t);
  const [first, second] = await Promise.all([
    client.place(service, session, results),
    client.place(service, session, results),
  ]);
  t.equal(placedIn(second).placement, placedIn(first).placement, "at once");
  await world.clock.advance(5_000);
  t.equal(placedIn(await client.place(service, session, results)).placement, placedIn(first).placement, "later");
  t.equal(await ledger.countSessions("hall"), 1);
});

t.test("answers that prove nothing are refused by name and counted; one good answer is enough", async (t) => {
  const { world, client, service, session, candidates, results, rttMap } = await start(t);
  const [near, middle] = candidates;
  const good = results[0];
  if (near === undefined || middle === undefined || good === undefined) throw new Error("candidates");
  const other = await client.create(service);
  const [foreign] = await client.results(other.candidates, { near: 1 });
  const seconds = Math.floor(world.clock.nowMs() / 1000);
  const bad: [string, string, string][] = [
    ["tampered", `${good.answer.slice(0, -4)}AAAA`, "token-invalid"],
    ["signed by another pool's edge", await world.answer(near, {}, "middle-1"), "token-invalid"],
    ["signed by another edge of the pool", await world.answer(near, {}, "near-2"), "token-invalid"],
    [
      "of another node than was probed",
      await world.answer(near, { node: "middle-1", pool: "middle" }, "middle-1"),
      "token-invalid",
    ],
    ["to another session's probe", foreign?.answer ?? "", "token-invalid"],
    ["to no probe", await world.answer(near, { probe: "unknown-1" }), "token-invalid"],
    ["expired", await world.answer(near, { iat: seconds - 60, exp: seconds - 30 }), "token-expired"],
    ["long ago", await world.answer(near, { iat: seconds - 60 }), "token-expired"],
    ["the probe token itself", near.token, "token-invalid"],
  ];
  for (const [what, answer, code] of bad) {
    const failure = await failureOf(client.place(service, session, [{ answer, rttMs: [0] }]));
    t.equal(failure.code, code, what);
  }
  t.equal(rttMap.groupCount, 0, "nothing was learnt");
  const here = { latitude: 0, longitude: 0 };
  const accessMs = () => rttMap.estimateByDistance([], { client: here, pool: here }).rttMs;
  t.equal(accessMs(), 3, "nor of distance");
  t.equal(world.counted.filter((event) => event.startsWith("place refused")).length, bad.length);
  const answer = placedIn(
    await client.place(service, session, [{ answer: bad[0]?.[1] ?? "", rttMs: [1] }, ...results]),
  );
  t.equal(answer.pool, "near");
  t.not(accessMs(), 3, "what is believed teaches what distance costs");
});

t.test("a lying client gains no round trip below 0 and no other node's", async (t) => {
  const { client, service, session, candidates, world, rttMap } = await start(t);
  const far = candidates.find(({ pool }) => pool === "far");
  if (far === undefined) throw new Error("far");
  for (const rttMs of [[-5], [Number.NaN], [Number.POSITIVE_INFINITY], []]) {
    const failure = await failureOf(client.place(service, session, [{ answer: await world.answer(far), rttMs }]));
    t.equal(failure.code, "argument-invalid", String(rttMs));
  }
  const answer = await world.answer(far);
  const placed = placedIn(
    await client.place(service, session, [
      { answer, rttMs: [90, 1, 1] },
      { answer, rttMs: [1] },
    ]),
  );
  t.match(placed, { state: "degraded", pool: "far", budget: { networkMsP95: 90 } }, "the worst of what it says");
  t.equal(rttMap.find(["prefix:192.0.2.0/24"], "near", world.clock.nowMs()), undefined);
});

t.test("a proof is good once, for one call, by the session's key", async (t) => {
  const { client, service, session, results, world } = await start(t);
  const url = `${BASE}/${session}/probes`;
  const thief = await Client.create(world);
  const proof = await client.key.prove("POST", url);
  await service.place({ session, url }, { proof, results });
  const placing = (proof: string) => () => service.place({ session, url }, { proof, results });
  const cases = [
    ["replayed", placing(proof)],
    ["another key", placing(await thief.key.prove("POST", url))],
    ["another call", placing(await client.key.prove("DELETE", url))],
    ["another URL", placing(await client.key.prove("POST", BASE))],
    ["none", placing("x")],
  ] as const;
  for (const [what, call] of cases) t.equal((await failureOf(call())).code, "proof-invalid", what);
});

t.test("an app token is for its app and so many sessions; what is unknown is named", async (t) => {
  const { client, service, session, results, world, replica } = await start(t);
  await client.place(service, session, results);
  t.equal((await failureOf(client.create(service, { maxSessions: 1 }))).code, "overloaded", "promised");
  world.pools.get("near")?.sessions.push(session);
  await world.report(replica);
  t.equal((await failureOf(client.create(service, { maxSessions: 1 }))).code, "overloaded", "running");
  const two = await client.create(service, { maxSessions: 2 });
  const three = await client.create(service, { maxSessions: 2 });
  placedIn(await client.place(service, two.session, await client.results(two.candidates, RTT)));
  const late = client.place(service, three.session, await client.results(three.candidates, RTT));
  t.match(await failureOf(late), { code: "overloaded", message: /what the app token permits/ }, "two for one place");
  t.equal((await failureOf(client.create(service, { sub: "other" }))).code, "permission-denied");
  t.equal((await failureOf(client.create(service, { sub: "none" }, { app: "none" }))).code, "not-found");
  t.equal((await failureOf(client.place(service, "s-unknown-1", results))).code, "not-found");
});

t.test("what fits nowhere is queued with the best that can be had, and placed when a slot is free", async (t) => {
  const { client, service, session, results, world, replica } = await start(t);
  world.policies = [{ name: "eu", spec: queueing }];
  for (const pool of ["near", "middle"]) Object.assign(world.pools.get(pool)?.slots ?? {}, { free: 0 });
  await world.report(replica);
  const queued = await client.place(service, session, results);
  t.match(queued, { state: "queued", bestAchievableMs: 20, retryAfterSeconds: 3 });
  Object.assign(world.pools.get("middle")?.slots ?? {}, { free: 1 });
  await world.clock.advance(3_000);
  await world.report(replica);
  const fresh = await client.results((await client.create(service)).candidates, {});
  t.equal(fresh.length, 0);
  t.equal(placedIn(await client.place(service, session, results)).pool, "middle");
});

t.test("when many come at once each slot is given once, and the others go where there is room", async (t) => {
  const world = await World.create();
  for (const { slots } of world.pools.values()) Object.assign(slots, { total: 2, free: 2 });
  const { service } = await world.replica();
  const rtts = { near: 4, middle: 8, far: 12 };
  const pools = await Promise.all(
    [1, 2, 3, 4, 5, 6, 7].map(async () => {
      const client = await Client.create(world);
      const { session, candidates } = await client.create(service);
      const answer = await client.place(service, session, await client.results(candidates, rtts));
      return answer.state === "queued" ? "queued" : answer.pool;
    }),
  );
  t.same(pools.toSorted(), ["far", "far", "middle", "middle", "near", "near", "queued"]);
});

t.test("a policy that rejects says so with the best that can be had; one that degrades tells the client", async (t) => {
  const { client, service, session, results, world, explain } = await start(t, { far: 60 });
  world.policies = [{ name: "eu", spec: { ...queueing, onNoFit: "reject" } }];
  const failure = await failureOf(client.place(service, session, results));
  t.match(failure, { code: "no-pool-fits", detail: { bestAchievableMs: 76 } });
  t.match(explain.explain(String(failure.detail["decision"]))?.lines[1], /policy eu/);
  t.match(
    explain.explainSession(session)?.lines.join("\n"),
    /near: .*fails unreachable/,
    "asked to probe, not answered",
  );
  world.policies = [];
  t.match(await client.place(service, session, results), { state: "degraded", pool: "far" });
});

t.test("pools that may take nothing are not probed, and the record says why", async (t) => {
  const world = await World.create();
  world.setPool("near", {}, { cordoned: true });
  world.setPool("middle", { labels: { region: "us" } });
  world.policies = [
    { name: "eu", spec: { ...queueing, constraints: [{ label: "region", operator: "DoesNotExist" }] } },
  ];
  const client = await Client.create(world);
  const { service, explain } = await world.replica();
  const created = await client.create(service, {}, { tier: "relaxed" });
  t.same(
    created.candidates.map(({ pool }) => pool),
    ["far"],
  );
  await client.place(service, created.session, await client.results(created.candidates, { far: 50 }));
  const text = explain.explainSession(created.session)?.lines.join("\n");
  t.match(text, /placed: far[\s\S]*middle: .*fails label-constraint[\s\S]*near: .*fails cordoned/);
  world.setPool("far", {}, { draining: true });
  const failure = await failureOf(client.create(service));
  t.equal(failure.code, "no-pool-fits");
  t.match(explain.explain(String(failure.detail["decision"]))?.lines.join("\n"), /far: .*fails draining/);
});

t.test("after the end the slot is free, the call may be made again, and nobody else can end it", async (t) => {
  const { client, service, session, results, ledger, world } = await start(t);
  await client.place(service, session, results);
  const url = `${BASE}/${session}`;
  const thief = await Client.create(world);
  const theft = service.end({ session, url }, { proof: await thief.key.prove("DELETE", url) });
  t.equal((await failureOf(theft)).code, "proof-invalid");
  t.equal(await ledger.countSessions("hall"), 1);
  for (const turn of [1, 2]) {
    await service.end({ session, url }, { proof: await client.key.prove("DELETE", url) });
    t.equal(await ledger.countSessions("hall"), 0, `turn ${turn}`);
  }
});

t.test("an end whose slot could not be given back is made good by the next call", async (t) => {
  const { client, service, session, results, ledger } = await start(t);
  await client.place(service, session, results);
  const release = ledger.release.bind(ledger);
  ledger.release = () => Promise.reject(new Failure("unavailable", "Redis cannot be reached", { retryable: true }));
  t.equal((await failureOf(client.end(service, session))).code, "unavailable");
  t.equal(await ledger.countSessions("hall"), 1);
  ledger.release = release;
  await client.end(service, session);
  t.equal(await ledger.countSessions("hall"), 0);
});

t.test(
  "a session that is never placed is forgotten; an expired placement is followed by the next attempt",
  async (t) => {
    const { client, service, session, results, candidates, world, replica } = await start(t);
    const idle = await client.create(service);
    const first = placedIn(await client.place(service, session, results));
    await world.clock.advance(25_000);
    await world.report(replica);
    const fresh = await client.results(candidates, RTT);
    const second = placedIn(await client.place(service, session, fresh));
    t.not(second.placement, first.placement, "with 5 s left nobody could connect");
    await world.clock.advance(40_000);
    t.equal((await failureOf(client.place(service, idle.session, results))).code, "not-found");
  },
);
