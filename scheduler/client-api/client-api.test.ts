/** The client API over real HTTP: steering, measurements, sessions and why, with real tokens on a clock that stands still. */
import { request } from "node:http";
import { text } from "node:stream/consumers";
import t, { type Test } from "tap";
import type { ProbeTarget, SteerAnswer } from "#contracts/operator-api/sessions.ts";
import { TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { ProbeTrust } from "#domain/latency/probe-trust.ts";
import { RttMap } from "#domain/latency/rtt-map.ts";
import type { WrittenPlacementPolicy } from "#domain/policy/placement-policy.ts";
import type { NamedPolicy } from "#domain/policy/policy-match.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { signToken } from "#platform/identity/tokens.ts";
import { createLogger } from "#platform/logging.ts";
import { faultsOfDocument } from "#test/openapi/served-document.ts";
import { ContentDemand } from "../content-plan/content-demand.ts";
import { viewOf } from "../facts/desired-view.ts";
import type { FleetPool } from "../facts/fleet.ts";
import { locateClient } from "../geo/client-groups.ts";
import { NO_GEOIP } from "../geo/geoip.ts";
import { parseNetworksTable } from "../geo/networks-table.ts";
import { ProbeTokens } from "../session/probe-tokens.ts";
import { Client, placedIn, World } from "../session/session-world.test.ts";
import { ClientMemory } from "../steering/client-memory.ts";
import { createSteeringService } from "../steering/steering-service.ts";
import { createClientApi } from "./client-api.ts";

const CLIENT_URL = "http://scheduler.test";
const HOUR_SECONDS = 3600;
const lisbon = { latitude: 38.72, longitude: -9.14 };
const networks = parseNetworksTable(
  JSON.stringify({
    networks: [
      { network: "127.0.0.0/8", group: "loopback", coordinates: lisbon },
      { network: "192.0.2.0/24", group: "elsewhere", coordinates: { latitude: 52, longitude: 21 } },
    ],
  }),
  "networks.json",
);

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** The address that the client calls from. */
  readonly from?: string;
}

/** Steering over the world's pools for one site; `view` may change. */
async function steeringOf(world: World, counted: string[], witnessed: string[]) {
  const { clock, random } = world;
  const replica = await world.replica();
  const signer = await world.signer({ role: "scheduler", pool: "-", name: "s1" });
  const identity = { signer: () => signer, trust: world.trust };
  const pull = { upstream: "http://u.test", connectTimeoutMs: 10, responseTimeoutMs: 10 };
  const view = {
    ...viewOf(new Map()),
    sites: new Map([["shop", { hostnames: ["shop.test"], pull }]]),
    siteByHostname: new Map([["shop.test", "shop"]]),
    revokedTokens: new Set<string>(),
    placementPolicies: [] as NamedPolicy[],
  };
  const findPool = (name: string): FleetPool | undefined => {
    const facts = world.pools.get(name)?.facts;
    if (facts === undefined) return undefined;
    const more = { pool: name, isHeard: true, sites: [], storeBytesMax: undefined };
    return { ...facts, edges: facts.edges.map((edge) => ({ ...edge, ...more, hostname: `${edge.node}.test` })) };
  };
  const demand = new ContentDemand(clock);
  const steering = createSteeringService({
    ...{ clock, random, ledger: replica.ledger, explain: replica.explain },
    rttMap: new RttMap({ groupsMax: 100, ageMsMax: 3_600_000 }),
    probeTrust: new ProbeTrust(100),
    fleet: { view, findPool, listPools: () => [...world.pools.keys()].flatMap((name) => findPool(name) ?? []) },
    locate: (address) => locateClient({ networks, geoip: NO_GEOIP }, address),
    memory: new ClientMemory(clock),
    demand,
    probeTokens: new ProbeTokens({ identity, clock, random }),
    watch: {
      answered: (node) => void witnessed.push(`${node} answered`),
      failed: (node, observer) => void witnessed.push(`${node} failed ${observer}`),
    },
    events: {
      steered: (source) => void counted.push(`steered ${source}`),
      noEdge: () => void counted.push("no edge"),
      measured: (count) => void counted.push(`measured ${count}`),
      answerRefused: ({ code }) => void counted.push(`answer ${code}`),
      expressionsFailed: (notes) => void counted.push(...notes),
    },
  });
  return { replica, steering, view, demand };
}

async function start(t: Test, { trustedProxies = [] }: { readonly trustedProxies?: readonly string[] } = {}) {
  const world = await World.create();
  const { clock } = world;
  const counted: string[] = [];
  const witnessed: string[] = [];
  const { replica, steering, view, demand } = await steeringOf(world, counted, witnessed);
  const tokenKey = generateSigningKey();
  const api = await createClientApi({
    access: { tokenKeys: () => new Map([[tokenKey.keyId, tokenKey.publicKey]]), revoked: () => view, clock },
    ...{ sessions: replica.service, steering, explain: replica.explain, view: () => view },
    ...{ clientUrl: CLIENT_URL, trustedProxies, logger: createLogger({ program: "test", level: "silent" }) },
    events: {
      redirected: () => void counted.push("redirected"),
      refused: (code) => void counted.push(`refused ${code}`),
    },
  });
  t.teardown(() => api.close());
  await api.listen({ host: "127.0.0.1", port: 0 });
  const bound = api.server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  const ask = (path: string, asked: Asked = {}) => call(port, path, asked);
  const token = (kind: "app" | "operator", claims: object, key = tokenKey) => {
    const exp = Math.floor(clock.nowMs() / 1000) + HOUR_SECONDS;
    return signToken(TOKEN_TYPES[kind], { jti: "token-12345", exp, ...claims }, { key });
  };
  const steer = async (from = "127.0.0.1"): Promise<SteerAnswer> => {
    const answer = await ask("/v1/steer?site=shop", { from });
    t.equal(answer.status, 200, answer.text);
    return JSON.parse(answer.text);
  };
  const measure = async (
    probes: readonly ProbeTarget[],
    rtts: Readonly<Record<string, number>>,
    from = "127.0.0.1",
  ) => {
    const answered = probes.filter(({ pool }) => Object.hasOwn(rtts, pool));
    const results = await Promise.all(
      answered.map(async (target) => ({ answer: await world.answer(target), rttMs: Array(3).fill(rtts[target.pool]) })),
    );
    return ask("/v1/measurements", { method: "POST", body: { results }, from });
  };
  return {
    world,
    replica,
    ask,
    token,
    steer,
    measure,
    demand,
    steering,
    counted,
    witnessed,
    revokedTokens: view.revokedTokens,
    policies: view.placementPolicies,
  };
}

interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

function call(port: number, path: string, { method = "GET", headers = {}, body, from }: Asked): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const type = bytes && { "content-type": "application/json", "content-length": String(bytes.byteLength) };
    const local = from === undefined ? {} : { localAddress: from };
    const sent = request(
      { host: "127.0.0.1", port, path, method, headers: { ...type, ...headers }, agent: false, ...local },
      (response) => {
        const { statusCode: status = 0, headers } = response;
        text(response).then((text) => resolve({ status, headers, text }), reject);
      },
    );
    sent.once("error", reject).end(bytes);
  });
}

const poolsOf = ({ edges }: SteerAnswer) => edges.map(({ pool }) => pool);
const codeOf = ({ text }: Answered): unknown => JSON.parse(text).code;

t.test("what a client measured beats history, which beats geography", async (t) => {
  const { world, steer, measure, counted } = await start(t);
  world.setPool("near", { coordinates: lisbon });
  world.setPool("middle", { coordinates: { latitude: 40.4, longitude: -3.7 } });
  world.setPool("far", { coordinates: { latitude: 52.2, longitude: 21 } });
  const first = await steer("127.0.0.2");
  t.same(poolsOf(first), ["near", "middle", "far"]);
  t.match(first, {
    site: "shop",
    group: "network:loopback",
    edges: [{ source: "geography", url: "http://shop.near-1.test" }],
  });
  t.equal(first.probes.length, 3);
  t.match(JSON.parse((await measure(first.probes, { near: 40, middle: 30, far: 20 }, "127.0.0.2")).text), {
    accepted: 3,
  });
  const second = await steer("127.0.0.2");
  t.same(poolsOf(second), ["far", "middle", "near"]);
  t.match(second.edges[0], { source: "measured", rttMs: 20 });
  const neighbour = await steer("127.0.0.3");
  t.same(poolsOf(neighbour), ["far", "middle", "near"], "the group's history");
  t.match(neighbour.edges[0], { source: "history", rttMs: 20 });
  world.setPool("new", { coordinates: lisbon });
  const { edges } = await steer("127.0.0.3");
  const unmeasured = edges.find(({ pool }) => pool === "new");
  t.equal(unmeasured?.source, "geography");
  t.ok((unmeasured?.rttMs ?? 0) > 3.1, `${unmeasured?.rttMs} ms: its distance costs what others' cost`);
  t.same(counted, ["steered geography", "measured 3", "steered measured", "steered history", "steered geography"]);
});

t.test(
  "a client counts once as demand of the pool nearest to it, whether or not that one may serve the site",
  async (t) => {
    const { world, steer, measure, demand } = await start(t);
    world.setPool("near", { coordinates: lisbon });
    world.setPool("middle", { coordinates: { latitude: 40.4, longitude: -3.7 } });
    world.setPool("far", { coordinates: { latitude: 52.2, longitude: 21 } });
    const lasting = (pool: string) => Math.round(demand.clientsOf("shop").get(pool) ?? 0);
    for (let turn = 0; turn < 3; turn += 1) await steer("127.0.0.2");
    t.equal(lasting("near"), 1, "it asked three times");
    const { probes } = await steer("127.0.0.3");
    await measure(probes, { near: 40, middle: 30, far: 20 }, "127.0.0.3");
    await steer("127.0.0.3");
    await steer("127.0.0.4");
    t.equal(lasting("near"), 2);
    t.equal(lasting("far"), 1, "by the history of its group");
    t.ok((demand.rttMs("near", "far") ?? 0) > (demand.rttMs("near", "near") ?? 0), "the way to others is kept");
    world.setPool("far", { edges: [] });
    await steer("127.0.0.5");
    t.equal(lasting("far"), 2, "nobody can be sent there now");
  },
);

t.test("so does a network that is told by name, when it is new", async (t) => {
  const { steering, demand } = await start(t);
  const lasting = () => [...demand.clientsOf("shop")].map(([pool, clients]) => `${pool} ${clients}`);
  steering.rankFor("shop", { address: "127.0.0.2", lastNode: undefined, isNew: true });
  t.same(lasting(), ["far 1"]);
  steering.rankFor("shop", { address: "127.0.0.2", lastNode: "near-1", isNew: false });
  t.same(lasting(), ["far 1"]);
});

t.test("a client that lies moves its own steering, and its group's only as one among many", async (t) => {
  const { steer, measure } = await start(t);
  for (const honest of ["127.0.0.2", "127.0.0.3", "127.0.0.4"]) {
    await measure((await steer(honest)).probes, { near: 5, middle: 10, far: 20 }, honest);
  }
  for (let turn = 0; turn < 10; turn += 1) {
    await measure((await steer("127.0.0.66")).probes, { near: 4_000, middle: 4_000, far: 0 }, "127.0.0.66");
  }
  t.equal(poolsOf(await steer("127.0.0.66"))[0], "far");
  t.same(poolsOf(await steer("127.0.0.5")), ["near", "middle", "far"]);
});

t.test("an edge that a client could not reach is its last choice, and that it failed is evidence", async (t) => {
  const { steer, measure, witnessed } = await start(t);
  const { probes } = await steer();
  await measure(probes, { middle: 60, far: 70 });
  t.same(poolsOf(await steer()), ["middle", "far", "near"]);
  t.same(witnessed.toSorted(), ["far-1 answered", "middle-1 answered", "near-1 failed network:loopback"]);
});

t.test("a site's host name sends user agents to the best edge with path and query, and keeps the method", async (t) => {
  const { ask, world, counted } = await start(t);
  const host = { host: "shop.test:7410" };
  const got = await ask("/a/b?x=1&y=%20", { headers: host });
  t.equal(got.status, 302);
  t.match(got.headers["location"], /^http:\/\/shop\.(near|middle|far)-1\.test\/a\/b\?x=1&y=%20$/);
  t.equal(got.headers["cache-control"], "no-store");
  t.equal(
    (await ask("/v1/steer", { headers: { host: "shop.scheduler.test" } })).status,
    302,
    "a site has all its paths",
  );
  t.equal((await ask("/", { headers: host, method: "PUT", body: {} })).status, 307);
  t.match(
    (await ask("//evil.test/", { headers: host })).headers["location"],
    /^http:\/\/shop\.[a-z]+-1\.test\/\/evil\.test\/$/,
  );
  t.equal((await ask("/", { headers: { host: "stranger.test" } })).status, 404);
  t.equal((await ask("/", { headers: { host: "stranger.scheduler.test" } })).status, 404);
  for (const pool of world.pools.keys()) world.setPool(pool, {}, { cordoned: true });
  const none = await ask("/", { headers: host });
  t.match([none.status, codeOf(none), none.headers["cache-control"]], [503, "unavailable", "no-store"]);
  t.ok(counted.includes("redirected") && counted.includes("no edge") && counted.includes("refused unavailable"));
});

t.test("a cordoned edge gets nobody, and why says so; only operators may ask", async (t) => {
  const { ask, token, steer, world, counted } = await start(t);
  world.setPool("near", {}, { cordoned: true });
  const answer = await steer();
  t.notOk(poolsOf(answer).includes("near"));
  const bearer = async (claims: object) => ({
    authorization: `Bearer ${await token("operator", { sub: "me", ...claims })}`,
  });
  const reader = { headers: await bearer({ scopes: ["read"] }) };
  const told = JSON.parse((await ask(`/v1/why/${answer.decision}`, reader)).text);
  t.equal(told.decision, answer.decision);
  t.match(told.lines.join("\n"), /near-1 \(near\): .*fails cordoned[\s\S]*/);
  const now = await ask("/v1/why?site=shop&client=192.0.2.9", reader);
  t.match(JSON.parse(now.text).lines[1], "for network:elsewhere; no policy, defaults");
  t.equal(codeOf(await ask("/v1/why/d-unknown", reader)), "not-found");
  t.equal(codeOf(await ask("/v1/why?site=none&client=192.0.2.9", reader)), "not-found");
  t.equal(codeOf(await ask("/v1/why", reader)), "argument-invalid");
  t.equal(codeOf(await ask("/v1/why?session=s-1")), "token-invalid");
  t.equal(
    codeOf(await ask("/v1/why?session=s-1", { headers: await bearer({ scopes: ["join"] }) })),
    "permission-denied",
  );
  t.ok(counted.includes("refused token-invalid") && counted.includes("refused permission-denied"));
});

t.test("why a session is not in a pool is told to operators; an unknown pool or session is told so", async (t) => {
  const { ask, token, steer, world, replica } = await start(t);
  const client = await Client.create(world);
  const created = await client.create(replica.service);
  const results = await client.results(created.candidates, { near: 4, middle: 10, far: 60 });
  const { decision } = placedIn(await client.place(replica.service, created.session, results));
  const headers = { authorization: `Bearer ${await token("operator", { sub: "me", scopes: ["read"] })}` };
  const whyNot = (path: string) => ask(`/v1/why-not/${path}`, { headers });
  const far = {
    pool: "far",
    decision,
    verdict: "filtered",
    rule: "over-limit",
    changes: [/an RTT lower by/, /lower by/],
  };
  t.match(JSON.parse((await whyNot(`far?session=${created.session}`)).text), far);
  t.match(JSON.parse((await whyNot(`far?decision=${decision}`)).text), far);
  t.match(JSON.parse((await whyNot(`middle?decision=${decision}`)).text), { verdict: "outscored", pool: "middle" });
  t.match(JSON.parse((await whyNot(`elsewhere?session=${created.session}`)).text), {
    ...{ code: "not-found", detail: "there is no NodePool elsewhere: perigee get nodepools lists them" },
  });
  t.equal(codeOf(await whyNot("far?session=s-none")), "not-found");
  t.equal(codeOf(await whyNot("far?decision=d-none")), "not-found");
  t.equal(codeOf(await whyNot("far")), "argument-invalid");
  t.match((await whyNot(`far?session=s-other&decision=${decision}`)).text, /is on session s-.*, and not on s-other/);
  t.match((await whyNot(`far?decision=${(await steer()).decision}`)).text, /is on content, which perigee why explains/);
  t.equal(codeOf(await ask(`/v1/why-not/far?session=${created.session}`)), "token-invalid");
});

t.test("content goes by the policy that the client's network matches; what could not be judged is said", async (t) => {
  const { steer, world, policies, counted, ask, token } = await start(t);
  const spec: WrittenPlacementPolicy = {
    ...{ apps: [], sites: ["shop"], latencyBudgetMs: {}, constraints: [], preferences: [], capacityReserveRatio: 0 },
    ...{ onNoFit: "degrade", sessionSecondsMax: 60, stickinessMs: 0 },
  };
  const constraints = [{ label: "owner", operator: "In", values: ["campus"] }] as const;
  policies.push({ name: "campus", spec: { ...spec, constraints, match: { cidrs: ["127.0.0.9/32"] } } });
  world.setPool("far", { labels: { owner: "campus" } });
  t.same(poolsOf(await steer("127.0.0.9")), ["far"]);
  t.ok(poolsOf(await steer("127.0.0.1")).length > 1, "others go anywhere");
  const expression = "pool.labels['zone'] == 'a'";
  policies.push({ name: "odd", spec: { ...spec, preferences: [{ expression, bonusMs: 5 }] } });
  world.setPool("near", { labels: { [`(${expression})`]: "failed: No such key: zone" } });
  const { decision } = await steer("127.0.0.1");
  const headers = { authorization: `Bearer ${await token("operator", { sub: "me", scopes: ["read"] })}` };
  t.match((await ask(`/v1/why/${decision}`, { headers })).text, /note: near: .* failed: No such key: zone/);
  t.ok(counted.some((text) => text.includes("No such key: zone")));
});

t.test("a session lives over HTTP: created by app token, placed, renewed and ended by proof", async (t) => {
  const { world, ask, token } = await start(t);
  const client = await Client.create(world);
  const app = await token("app", { sub: "hall", origins: ["http://*.page.test"], maxSessions: 10 });
  const headers = { authorization: `Bearer ${app}`, origin: "http://a.page.test" };
  const created = await ask("/v1/sessions", { method: "POST", headers, body: client.wish() });
  t.equal(created.status, 201, created.text);
  const { session, candidates } = JSON.parse(created.text);
  const results = await client.results(candidates, { near: 4, middle: 10, far: 60 });
  const url = `${CLIENT_URL}/v1/sessions/${session}`;
  const prove = async (method: "POST" | "DELETE", path: string) => client.key.prove(method, `${url}${path}`);
  const path = `/v1/sessions/${session}`;
  const body = { proof: await prove("POST", "/probes"), results };
  const placed = await ask(`${path}/probes`, { method: "POST", body });
  t.match(JSON.parse(placed.text), { state: "placed", pool: "near", budget: { networkMsP95: 4 } }, placed.text);
  const { placement } = JSON.parse(placed.text);
  const renewal = { proof: await prove("POST", "/renew"), placement, reason: "promotion" };
  const kept = await ask(`${path}/renew`, { method: "POST", body: renewal });
  t.same([kept.status, kept.text], [204, ""]);
  const lost = { proof: await prove("POST", "/renew"), placement, reason: "pool-lost" };
  t.match(JSON.parse((await ask(`${path}/renew`, { method: "POST", body: lost })).text), { pool: "middle" });
  const ended = await ask(path, { method: "DELETE", body: { proof: await prove("DELETE", "") } });
  t.same([ended.status, ended.text], [204, ""]);
});

t.test(
  "an app token is good for its app, its pages and its time, until it is revoked; each refusal is counted",
  async (t) => {
    const { world, ask, token, counted, revokedTokens } = await start(t);
    const client = await Client.create(world);
    const claims = { sub: "hall", origins: ["http://page.test"], maxSessions: 10 };
    const create = (authorization: string, origin = "http://page.test") =>
      ask("/v1/sessions", { method: "POST", headers: { authorization, origin }, body: client.wish() });
    const good = `Bearer ${await token("app", claims)}`;
    const past = Math.floor(world.clock.nowMs() / 1000) - 60;
    const cases = [
      [good, "http://evil.test", "permission-denied"],
      [good, "null", "permission-denied"],
      ["Bearer nonsense", undefined, "token-invalid"],
      [`Bearer ${await token("app", claims, generateSigningKey())}`, undefined, "token-invalid"],
      [`Bearer ${await token("operator", { sub: "me", scopes: ["admin"] })}`, undefined, "token-invalid"],
      [`Bearer ${await token("app", { ...claims, exp: past })}`, undefined, "token-expired"],
      [`Bearer ${await token("app", { ...claims, sub: "other" })}`, undefined, "permission-denied"],
    ] as const;
    for (const [authorization, origin, code] of cases) {
      t.equal(codeOf(await create(authorization, origin)), code, `${code} ${origin}`);
      t.equal(counted.at(-1), `refused ${code}`);
    }
    t.equal((await create(good)).status, 201);
    revokedTokens.add("token-12345");
    t.equal(codeOf(await create(good)), "token-revoked");
  },
);

t.test("pages of any origin may call it without credentials", async (t) => {
  const { ask } = await start(t);
  const asked = { origin: "http://page.test", "access-control-request-method": "POST" };
  for (const path of ["/v1/sessions", "/v1/sessions/s-12345678/probes", "/v1/measurements", "/v1/steer?site=shop"]) {
    const preflight = await ask(path, { method: "OPTIONS", headers: asked });
    t.equal(preflight.status, 204, path);
    t.match(preflight.headers, {
      "access-control-allow-origin": "*",
      "access-control-allow-headers": /authorization, content-type/,
      "access-control-allow-methods": /POST/,
    });
    t.equal(preflight.headers["access-control-allow-credentials"], undefined);
  }
  const refused = await ask("/v1/sessions", { method: "POST", body: {}, headers: { origin: "http://page.test" } });
  t.equal(refused.headers["access-control-allow-origin"], "*", "a page can read why it was refused");
  const why = await ask("/v1/why?session=x", { headers: { origin: "http://page.test" } });
  t.equal(why.headers["access-control-allow-origin"], undefined);
});

t.test("bad measurements are refused by name and change nothing; a good one beside them counts", async (t) => {
  const { ask, steer, world, counted } = await start(t);
  const { probes } = await steer();
  const [near, middle] = probes;
  if (near === undefined || middle === undefined) throw new Error("probes");
  const good = { answer: await world.answer(near), rttMs: [4, 4, 4] };
  const seconds = Math.floor(world.clock.nowMs() / 1000);
  const claims = { probe: "probe-12345", node: "near-1", pool: "near", freeSlots: {}, iat: seconds, exp: seconds + 30 };
  const stranger = await (await World.create()).signer({ role: "edge", pool: "near", name: "near-1" });
  const cases = [
    [await world.answer(near, { node: "middle-1" }, "near-1"), "token-invalid"],
    [await world.answer(near, {}, "middle-1"), "token-invalid"],
    [await world.answer(near, { iat: seconds - 90, exp: seconds - 60 }), "token-expired"],
    [near.token, "token-invalid"],
    [await signToken(TOKEN_TYPES.probeAnswer, claims, stranger), "certificate-untrusted"],
    ["no token", "token-invalid"],
  ] as const;
  const post = (results: readonly object[]) => ask("/v1/measurements", { method: "POST", body: { results } });
  for (const [answer, code] of cases) {
    t.equal(codeOf(await post([{ answer, rttMs: [1] }])), code);
    t.ok(counted.includes(`answer ${code}`));
  }
  t.match(JSON.parse((await post([{ answer: near.token, rttMs: [1] }, good])).text), {
    accepted: 1,
    notes: [/token-invalid/],
  });
  t.equal(codeOf(await post([])), "argument-invalid");
  t.equal(codeOf(await post([{ answer: "x", rttMs: [-1] }])), "argument-invalid");
});

t.test("who called is the socket's peer, and X-Forwarded-For only where a proxy is trusted", async (t) => {
  const forwarded = { headers: { "x-forwarded-for": "192.0.2.9" } };
  const groupOf = async (ask: (path: string, asked: Asked) => Promise<Answered>) =>
    JSON.parse((await ask("/v1/steer?site=shop", forwarded)).text).group;
  t.equal(await groupOf((await start(t)).ask), "network:loopback");
  t.equal(await groupOf((await start(t, { trustedProxies: ["127.0.0.0/8"] })).ask), "network:elsewhere");
  t.equal(await groupOf((await start(t, { trustedProxies: ["10.0.0.0/8"] })).ask), "network:loopback");
});

t.test("the API describes itself", async (t) => {
  const { ask } = await start(t);
  const described = JSON.parse((await ask("/openapi.json")).text);
  for (const path of [
    "/v1/steer",
    "/v1/measurements",
    "/v1/sessions",
    "/v1/sessions/{session}/renew",
    "/v1/why/{decision}",
    "/v1/why-not/{pool}",
  ]) {
    t.ok(described.paths[path], path);
  }
  t.same(faultsOfDocument(described), []);
  t.equal((await ask("/docs/")).status, 200);
});
