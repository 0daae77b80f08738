/** The life of a session at an edge: real tokens and proofs over HTTP, real agents over gRPC. */
import t from "tap";
import { Value } from "typebox/value";
import { connectedSessionSchema } from "#contracts/operator-api/sessions.ts";
import { parseClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { Failure } from "#domain/failure.ts";
import { createAuthority } from "#platform/identity/authority.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { signToken, verifyToken } from "#platform/identity/tokens.ts";
import { systemRandom } from "#platform/random.ts";
import { untilSo } from "../../test/end-to-end/waiting.ts";
import { until } from "../../test/simulation/until.ts";
import { type Client, EDGE, FakeAgent, granting, openClient, SCHEDULER, World } from "./door-world.test.ts";

const ID = "s-12345678";
const SIBLING = { role: "edge", pool: "near", name: "near-2" } as const;

async function resumeClaims(world: World, token: string) {
  const trust = { kind: "chain", authorities: [world.authority.certificate], roles: ["edge"] } as const;
  return parseClaims("resume", (await verifyToken(token, TOKEN_TYPES.resume, trust, world.clock.nowMs())).claims);
}

function ticket(world: World, client: Client, changes: object = {}) {
  const claims = { session: ID, attempt: 1, app: "hall", tier: "strict", pool: "near", renderClass: "small" };
  return { ...claims, cnf: { jkt: client.thumbprint }, exp: world.nowSeconds() + 120, ...changes };
}

t.test("a placement and a proof get a lease, with a ticket for this pool and key", async (t) => {
  const world = await World.open(t);
  const agent = await FakeAgent.start(t, world, "gpu-1");
  const client = await openClient(world);
  const placement = await world.placement(client);
  const { status, body, headers } = await world.connect(client, { placement });
  t.equal(status, 200);
  t.ok(Value.Check(connectedSessionSchema, body), "of the contract's shape");
  t.match(body, {
    ...{ session: ID, attempt: 1, agent: "gpu-1", answerSdp: "answer to offer", reportEverySeconds: 10 },
    renderClass: { name: "small", eyeWidthPixels: 96, frameRateHz: 72 },
  });
  t.match([headers.get("cache-control"), headers.get("access-control-allow-origin")], ["no-store", "*"]);
  t.match(await resumeClaims(world, body.resume), ticket(world, client));
  t.match(agent.requests, [{ grant: placement, keyThumbprint: client.thumbprint, offerSdp: "offer" }]);
  const byWebSocket = await world.connect(client, { placement }, { transport: "websocket", offerSdp: undefined });
  t.match(byWebSocket.body, { websocketUrl: "ws://127.0.0.1:7431/s" });
  t.notOk("answerSdp" in byWebSocket.body);
});

t.test("a session that is granted has its scene fetched, also where no agent takes it for want of that", async (t) => {
  const world = await World.open(t);
  const client = await openClient(world);
  t.equal((await world.connect(client, { placement: "none" })).status, 401);
  t.same(world.prefetched, [], "what is not granted asks for nothing");
  t.equal((await world.connect(client, { placement: await world.placement(client) })).status, 503);
  t.same(world.prefetched, ["scenes/hall.json"]);
});

t.test("two connects of one attempt, at once, give one lease of one agent", async (t) => {
  const world = await World.open(t);
  const agents = [await FakeAgent.start(t, world, "gpu-1"), await FakeAgent.start(t, world, "gpu-2")];
  const client = await openClient(world);
  const placement = await world.placement(client);
  const answers = await Promise.all([world.connect(client, { placement }), world.connect(client, { placement })]);
  t.same(
    answers.map(({ status }) => status),
    [200, 200],
  );
  t.equal(new Set(answers.map(({ body }) => body.agent)).size, 1);
  t.equal(agents.filter(({ sessions }) => sessions.size > 0).length, 1);
  t.same(
    agents.flatMap(({ ended }) => ended),
    [],
  );
});

t.test("a lower attempt is refused, and so is another key for the same session", async (t) => {
  const world = await World.open(t);
  await FakeAgent.start(t, world, "gpu-1");
  const client = await openClient(world);
  t.equal((await world.connect(client, { placement: await world.placement(client, { attempt: 2 }) })).status, 200);
  const lower = await world.connect(client, { placement: await world.placement(client) });
  t.match([lower.status, lower.body.code], [409, "attempt-superseded"]);
  const thief = await openClient(world);
  const taken = await world.connect(thief, { placement: await world.placement(thief, { attempt: 3 }) });
  t.match([taken.status, taken.body.code], [401, "token-invalid"]);
  t.equal((await world.connect(client, { placement: await world.placement(client, { attempt: 3 }) })).status, 200);
});

t.test("a session whose agent dies goes on at another, by its ticket alone", async (t) => {
  const world = await World.open(t);
  const agents = [await FakeAgent.start(t, world, "gpu-1"), await FakeAgent.start(t, world, "gpu-2")];
  const client = await openClient(world);
  const first = await world.connect(client, { placement: await world.placement(client) });
  const lost = agents.find(({ name }) => name === first.body.agent);
  lost?.kill();
  await until(() => world.door.agentStatuses().length === 1, "the dead agent is dropped");
  const second = await world.connect(client, { resume: first.body.resume });
  t.equal(second.status, 200);
  t.match(second.body, { session: ID, attempt: 1 });
  t.not(second.body.agent, first.body.agent);
  t.equal(await world.counted("session_calls_total", 'operation="connect",code="ok"'), 2);
});

t.test("who watches a session hears at once that its agent died or ended it, and only that", async (t) => {
  const world = await World.open(t);
  const agents = [await FakeAgent.start(t, world, "gpu-1"), await FakeAgent.start(t, world, "gpu-2")];
  const client = await openClient(world);
  const thief = await openClient(world);
  t.match((await world.callSession(client, ID, "watch")).body, { code: "not-found" });
  const first = await world.connect(client, { placement: await world.placement(client) });
  t.match((await world.callSession(thief, ID, "watch")).body, { code: "proof-invalid" });
  const [holder, other] = agents.toSorted(({ name }) => (name === first.body.agent ? -1 : 1));
  const watching = world.callSession(client, ID, "watch");
  const untilWatched = () =>
    untilSo(
      "it waits",
      () => world.counted("session_watches"),
      (count) => count === 1,
      { limitMs: 30_000 },
    );
  await untilWatched();
  other?.kill();
  await until(() => world.door.agentStatuses().length === 1, "another agent is dropped, which says nothing");
  const again = world.callSession(client, ID, "watch");
  t.match((await watching).body, { state: "held" }, "a newer watch answers the older");
  await untilWatched();
  holder?.send({ message: { case: "sessionEnded", value: { session: ID, attempt: 1, reason: "gpu-lost" } } });
  t.match((await again).body, { state: "ended", reason: "gpu-lost" });
  t.match((await world.callSession(client, ID, "watch")).body, { state: "lost" }, "nobody holds it");
  const second = await world.connect(client, { placement: await world.placement(client, { attempt: 2 }) });
  t.equal(second.status, 200);
  const dying = world.callSession(client, ID, "watch");
  await untilWatched();
  holder?.kill();
  t.match((await dying).body, { state: "lost", reason: `agent ${holder?.name} is gone` });
});

t.test(
  "who watches hears by an agent's status that it holds the session no more: why, another edge was told",
  async (t) => {
    const world = await World.open(t);
    const agent = await FakeAgent.start(t, world, "gpu-1");
    const client = await openClient(world);
    t.equal((await world.connect(client, { placement: await world.placement(client) })).status, 200);
    const watching = world.callSession(client, ID, "watch");
    await untilSo(
      "it waits",
      () => world.counted("session_watches"),
      (count) => count === 1,
      { limitMs: 30_000 },
    );
    agent.sessions.set(ID, 1);
    agent.sendStatus();
    agent.sessions.delete(ID);
    agent.sendStatus();
    t.match((await watching).body, { state: "lost", reason: "agent gpu-1 holds it no more" });
  },
);

t.test("a resumed session goes back to the agent that has it, and away from one that is drained", async (t) => {
  const world = await World.open(t);
  const agents = [await FakeAgent.start(t, world, "gpu-1"), await FakeAgent.start(t, world, "gpu-2")];
  const client = await openClient(world);
  const first = await world.connect(client, { placement: await world.placement(client) });
  const again = await world.connect(client, { resume: first.body.resume });
  t.equal(again.body.agent, first.body.agent);
  const holder = agents.find(({ name }) => name === first.body.agent);
  const spec = { role: "agent", pool: "near", cordoned: true, draining: true };
  world.setResource(`Node/${holder?.name}`, spec);
  const moved = await world.connect(client, { resume: again.body.resume });
  t.equal(moved.status, 200);
  t.not(moved.body.agent, first.body.agent);
  await until(() => holder?.ended.length === 1, "the old one is told to end it");
  t.match(holder?.ended, [{ session: ID, attempt: 1 }]);
});

t.test(
  "an agent that refuses, hangs or answers nonsense is passed over; in the end there is a named problem",
  async (t) => {
    const world = await World.open(t);
    const refusing = ({ request }: { request: bigint }) => ({
      request,
      granted: false,
      code: "overloaded",
      message: "busy",
    });
    const nonsense = ({ request }: { request: bigint }) => ({ request, granted: true, session: "another1" });
    const wrong = [await FakeAgent.start(t, world, "gpu-1", { grant: refusing, slots: { total: 1, free: 1 } })];
    wrong.push(await FakeAgent.start(t, world, "gpu-2", { grant: nonsense, slots: { total: 1, free: 1 } }));
    const client = await openClient(world);
    const placement = await world.placement(client);
    const none = await world.connect(client, { placement });
    t.match([none.status, none.body.code, none.headers.get("retry-after")], [503, "no-pool-fits", "5"]);
    const good = await FakeAgent.start(t, world, "gpu-3", { slots: { total: 8, free: 8 } });
    t.match((await world.connect(client, { placement })).body, { agent: "gpu-3" });
    for (const agent of wrong) agent.kill();
    good.kill();
    await until(() => world.door.agentStatuses().length === 0, "all gone");
    const silent = await FakeAgent.start(t, world, "gpu-4", { grant: () => undefined });
    const waiting = world.connect(client, { placement });
    await until(() => silent.requests.length === 1, "it was asked");
    await world.clock.advance(2_500);
    t.match((await waiting).body, { code: "no-pool-fits", lastRefusal: "deadline-exceeded" });
    await until(() => silent.ended.length === 1, "a lease still being made is ended");
    silent.kill();
    await until(() => world.door.agentStatuses().length === 0, "gone");
    t.match((await world.connect(client, { placement })).body, { code: "unavailable", because: "no-agent" });
  },
);

t.test("what an agent finds wrong with the request is the client's answer, and nobody else is asked", async (t) => {
  const world = await World.open(t);
  const grant = ({ request }: { request: bigint }) => ({
    request,
    granted: false,
    code: "media-invalid",
    message: "SDP",
  });
  const agents = [await FakeAgent.start(t, world, "gpu-1", { grant })];
  agents.push(await FakeAgent.start(t, world, "gpu-2", { grant }));
  const client = await openClient(world);
  const { status, body } = await world.connect(client, { placement: await world.placement(client) });
  t.match([status, body.code], [422, "media-invalid"]);
  t.equal(agents.flatMap(({ requests }) => requests).length, 1);
});

t.test("what does not prove what it says is refused by name and counted, and reaches no agent", async (t) => {
  const world = await World.open(t);
  const agent = await FakeAgent.start(t, world, "gpu-1");
  const client = await openClient(world);
  const other = await openClient(world);
  const stranger = await createAuthority("stranger", { clock: world.clock, random: systemRandom });
  const farEdge = { role: "edge", pool: "far", name: "far-1" } as const;
  const url = `${world.url}/.perigee/v1/sessions`;
  const good = await world.placement(client);
  const ticketBy = async (signer: Parameters<World["signer"]>[0], changes: object = {}) =>
    signToken(TOKEN_TYPES.resume, ticket(world, client, changes), await world.signer(signer));
  const used = await client.key.prove("POST", url);
  t.equal((await world.connect(client, { placement: good }, { proof: used })).status, 200);
  const requests = agent.requests.length;
  const forged = `${good.slice(0, -8)}AAAAAAAA`;
  const cases: readonly [what: string, code: string, grant: object, changes?: object][] = [
    ["another pool", "placement-refused", { placement: await world.placement(client, { pool: "far" }) }],
    [
      "another authority",
      "certificate-untrusted",
      { placement: await world.placement(client, {}, SCHEDULER, stranger) },
    ],
    ["expired", "token-expired", { placement: await world.placement(client, { exp: world.nowSeconds() - 60 }) }],
    ["forged", "token-invalid", { placement: forged }],
    ["an edge of another pool", "token-invalid", { placement: await world.placement(client, {}, farEdge) }],
    [
      "an agent's signature",
      "certificate-untrusted",
      { placement: await world.placement(client, {}, { ...EDGE, role: "agent" }) },
    ],
    ["a ticket by a scheduler", "certificate-untrusted", { resume: await ticketBy(SCHEDULER) }],
    ["a ticket of another pool", "placement-refused", { resume: await ticketBy(farEdge, { pool: "far" }) }],
    ["a ticket run out", "token-expired", { resume: await ticketBy(EDGE, { exp: world.nowSeconds() - 60 }) }],
    ["a placement as ticket", "token-invalid", { resume: good }],
    ["another key's placement", "proof-invalid", { placement: await world.placement(other) }],
    ["a proof used before", "proof-invalid", { placement: good }, { proof: used }],
    ["a proof of another call", "proof-invalid", { placement: good }, { proof: await client.key.prove("DELETE", url) }],
    [
      "a proof for another node",
      "proof-invalid",
      { placement: good },
      { proof: await client.key.prove("POST", "http://near-2.edge.test/.perigee/v1/sessions") },
    ],
    ["no grant", "argument-invalid", {}],
    ["two grants", "argument-invalid", { placement: good, resume: await ticketBy(EDGE) }],
    ["an unknown field", "argument-invalid", { placement: good }, { more: 1 }],
    ["no transport", "argument-invalid", { placement: good }, { transport: "pigeon" }],
  ];
  for (const [what, code, grant, changes] of cases) {
    const before = await world.counted("session_calls_total", `operation="connect",code="${code}"`);
    const { body, headers } = await world.connect(client, grant, changes);
    t.match([body.code, headers.get("content-type")], [code, "application/problem+json"], what);
    t.equal(await world.counted("session_calls_total", `operation="connect",code="${code}"`), before + 1, what);
  }
  t.equal(agent.requests.length, requests, "no agent was asked");
  world.setResource("Revocation/r1", {
    ...{ subject: { kind: "node", name: SCHEDULER.name }, reason: "stolen", subjectExpiresAtMs: 9e12 },
  });
  const revoked = await world.connect(client, { placement: good });
  t.match([revoked.status, revoked.body.code], [401, "token-revoked"]);
});

t.test("bodies that are no JSON, too long, or for no call are refused; preflights are answered", async (t) => {
  const world = await World.open(t);
  const post = (path: string, body: string, method = "POST") =>
    fetch(`${world.url}${path}`, { method, body: method === "GET" ? null : body });
  const code = async (response: Response) => {
    const { code: said }: { code: string } = JSON.parse(await response.text());
    return [response.status, said];
  };
  t.same(await code(await post("/.perigee/v1/sessions", "{")), [400, "argument-invalid"]);
  t.same(await code(await post("/.perigee/v1/sessions", "x".repeat(3_000_000))), [400, "argument-invalid"]);
  t.same(await code(await post("/.perigee/v1/sessions/short", "{}")), [404, "not-found"]);
  t.same(await code(await post(`/.perigee/v1/sessions/${ID}/other`, "{}")), [404, "not-found"]);
  t.same(await code(await post("/.perigee/v1/sessions", "", "GET")), [404, "not-found"]);
  t.same(await code(await post("/.perigee/v2/else", "")), [404, "not-found"]);
  const headers = { origin: "http://vr.test", "access-control-request-method": "POST" };
  const preflight = await fetch(`${world.url}/.perigee/v1/sessions`, { method: "OPTIONS", headers });
  t.equal(preflight.status, 204);
  t.match(preflight.headers.get("access-control-allow-headers"), /authorization/);
  t.equal(preflight.headers.get("access-control-allow-origin"), "*");
  t.match((await post("/shop/index.html", "", "GET")).status, 421, "content is not the door's");
});

t.test("an app token that a call carries keeps pages of other origins out", async (t) => {
  const world = await World.open(t);
  await FakeAgent.start(t, world, "gpu-1");
  const client = await openClient(world);
  const path = "/.perigee/v1/sessions";
  const connectFrom = async (origin: string, token: string) => {
    const proof = await client.key.prove("POST", `${world.url}${path}`);
    const placement = await world.placement(client);
    const headers = { origin, authorization: `Bearer ${token}` };
    return world.call("POST", path, { placement, proof, transport: "webrtc", offerSdp: "offer" }, headers);
  };
  t.equal((await connectFrom("http://vr.test", await world.appToken())).status, 200);
  const elsewhere = await connectFrom("http://evil.test", await world.appToken());
  t.match([elsewhere.status, elsewhere.body.code], [403, "permission-denied"]);
  const unknown = await connectFrom("http://vr.test", await world.appToken({}, generateSigningKey()));
  t.match(unknown.body.code, "token-invalid");
  const old = await connectFrom("http://evil.test", await world.appToken({ exp: world.nowSeconds() - 60 }));
  t.equal(old.status, 200, "a session outlives its app token");
});

t.test("a ticket is renewed while the session lives, and afterwards not beyond its own life", async (t) => {
  const world = await World.open(t);
  const agent = await FakeAgent.start(t, world, "gpu-1");
  const client = await openClient(world);
  const { body } = await world.connect(client, { placement: await world.placement(client) });
  await world.clock.advance(60_000);
  const renewed = await world.callSession(client, ID, "ticket");
  t.equal((await resumeClaims(world, renewed.body.resume)).exp, world.nowSeconds() + 120);
  const { exp } = await resumeClaims(world, renewed.body.resume);
  const thief = await openClient(world);
  t.match((await world.callSession(thief, ID, "ticket")).body, { code: "proof-invalid" });
  t.match((await world.callSession(client, "s-unknown-1", "ticket")).body, { code: "not-found" });
  agent.kill();
  await until(() => world.door.agentStatuses().length === 0, "gone");
  const kept = await world.callSession(client, ID, "ticket");
  t.equal((await resumeClaims(world, kept.body.resume)).exp, exp, "no longer than it had");
  await world.clock.advance(121_000);
  t.match((await world.callSession(client, ID, "ticket")).body, { code: "token-expired" });
  t.match((await world.callSession(client, ID, "ticket", { resume: body.resume })).body, { code: "token-expired" });
});

t.test("after a restart of the edge its agents come back, and tickets say whose sessions they have", async (t) => {
  const world = await World.open(t);
  const agent = await FakeAgent.start(t, world, "gpu-1");
  const client = await openClient(world);
  const { body } = await world.connect(client, { placement: await world.placement(client) });
  await world.stop();
  await until(() => agent.hasEnded, "its stream has ended");
  await world.start();
  const again = await FakeAgent.dial(t, world, "gpu-1", { incarnation: agent.incarnation });
  again.sessions.set(ID, 1);
  again.sendStatus();
  await until(() => world.door.agentStatuses()[0]?.sessions.length === 1, "the session is seen again");
  t.match((await world.callSession(client, ID, "ticket")).body, { code: "not-found" });
  const renewed = await world.callSession(client, ID, "ticket", { resume: body.resume });
  t.equal(renewed.status, 200);
  t.equal((await world.callSession(client, ID, "end")).status, 204);
  await until(() => again.ended.length === 1, "the agent ends it");
});

t.test("an edge of the pool renews and resumes what a sibling placed", async (t) => {
  const world = await World.open(t);
  const agent = await FakeAgent.start(t, world, "gpu-1");
  agent.sessions.set(ID, 1);
  agent.sendStatus();
  await until(() => world.door.agentStatuses()[0]?.sessions.length === 1, "seen");
  const client = await openClient(world);
  const resume = await signToken(TOKEN_TYPES.resume, ticket(world, client), await world.signer(SIBLING));
  t.equal((await world.callSession(client, ID, "ticket", { resume })).status, 200);
  t.match((await world.callSession(client, "s-87654321", "ticket", { resume })).body, { code: "token-invalid" });
  t.match((await world.connect(client, { resume })).body, { agent: "gpu-1", attempt: 1 });
});

t.test("quality is queued for the origin, joined to the agent's status, and taken only so often", async (t) => {
  const world = await World.open(t);
  await FakeAgent.start(t, world, "gpu-1");
  const client = await openClient(world);
  await world.connect(client, { placement: await world.placement(client) });
  await until(() => world.door.agentStatuses()[0]?.sessions.length === 1, "reported");
  const quality = {
    ...{ remotePathMsP50: 14, remotePathMsP95: 22.5, networkMsP95: 5, renderEncodeMsP95: 9, decodeMsP95: 3 },
    ...{ jitterMsP95: 1, framesDecoded: 720, framesLost: 2 },
  };
  t.equal((await world.callSession(client, ID, "reports", quality)).status, 202);
  t.match(world.reports, [{ kind: "session-quality", value: { session: ID, attempt: 1, app: "hall", ...quality } }]);
  t.match(world.door.agentStatuses()[0]?.sessions, [{ session: ID, remotePathMsP50: 14, remotePathMsP95: 22.5 }]);
  t.match((await world.callSession(client, ID, "reports", quality)).body, { code: "overloaded" });
  await world.clock.advance(10_000);
  t.equal((await world.callSession(client, ID, "reports", quality)).status, 202);
  t.match((await world.callSession(client, ID, "reports", { ...quality, framesLost: -1 })).body, {
    code: "argument-invalid",
  });
  t.equal(world.reports.length, 2);
  await world.clock.advance(10_000);
  world.reportFailure = new Failure("disk-full", "no space is left", { retryable: true });
  t.match(await world.callSession(client, ID, "reports", quality), { status: 507, body: { code: "disk-full" } });
  t.equal(world.reports.length, 2, "what is not durable is not acknowledged");
});

t.test("a client ends its session at the agent; an agent's end is a record", async (t) => {
  const world = await World.open(t);
  const agent = await FakeAgent.start(t, world, "gpu-1");
  const client = await openClient(world);
  await world.connect(client, { placement: await world.placement(client) });
  const thief = await openClient(world);
  t.match((await world.callSession(thief, ID, "end")).body, { code: "proof-invalid" });
  t.equal((await world.callSession(client, ID, "end")).status, 204);
  await until(() => agent.ended.length === 1, "told");
  agent.send({ message: { case: "sessionEnded", value: { session: ID, attempt: 1, reason: "ended by the edge" } } });
  await until(() => world.reports.length === 1, "a record");
  t.match(world.reports, [{ kind: "session-ended", value: { agent: "gpu-1", session: ID, attempt: 1 } }]);
  t.match((await world.callSession(client, ID, "end")).body, { code: "not-found" });
});

t.test("a slot that is being given away is not given twice", async (t) => {
  const world = await World.open(t);
  const grant = granting("gpu-1-1");
  const agent = await FakeAgent.start(t, world, "gpu-1", { slots: { total: 1, free: 1 }, grant: () => undefined });
  const early = await openClient(world);
  const late = await openClient(world);
  const first = world.connect(early, { placement: await world.placement(early) });
  await until(() => agent.requests.length === 1, "asked");
  const placement = await world.placement(late, { session: "s-87654321" });
  t.match((await world.connect(late, { placement })).body, { code: "no-pool-fits", because: "full" });
  const [request] = agent.requests;
  const value = request && grant(request);
  if (value !== undefined) agent.send({ message: { case: "leaseAnswer", value } });
  t.equal((await first).status, 200);
});
