/** The operator API: scopes, all-or-none apply with every fault, publishing end to end, one-time tokens. */
import { createHash } from "node:crypto";
import t, { type Test } from "tap";
import { USAGE_ROWS_MAX } from "#contracts/operator-api/usage.ts";
import { PURGE_AHEAD_MS_MAX } from "#domain/content/purge.ts";
import { HOUR_MS } from "#domain/usage/site-usage.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { createLogger } from "#platform/logging.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";
import { systemRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { openFileBlobStore } from "../blob-store/file-blob-store.ts";
import { openJoinTokens } from "../enrolment/join-tokens.ts";
import { loadOriginKeys } from "../keys/origin-keys.ts";
import { getResource, writeResource } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { Distribution } from "../node-rpc/distribution.ts";
import { ObservedNodes } from "../observed/observed-nodes.ts";
import { createPolicyTrial } from "../policy-trial/policy-trial.ts";
import { openRecords } from "../records/records.ts";
import { createRolloutEvents } from "../rollout/events.ts";
import { RolloutDriver } from "../rollout/rollout-driver.ts";
import { issueToken } from "./authorisation.ts";
import { createOperatorApi } from "./operator-api.ts";

const site = (name: string) => ({
  apiVersion: "perigee.dev/v1",
  kind: "Site",
  metadata: { name },
  spec: { hostnames: [`${name}.example`], publish: {} },
});

const pool = {
  apiVersion: "perigee.dev/v1",
  kind: "NodePool",
  metadata: { name: "near" },
  spec: { region: "eu", coordinates: { latitude: 50, longitude: 8 } },
};

async function openApi(t: Test) {
  const folder = testFolder(t);
  const clock = new VirtualClock(Date.UTC(2026, 0, 1));
  const tools = { clock, random: systemRandom };
  const log = openSqliteLog(":memory:");
  const keys = await loadOriginKeys(folder, tools);
  const joinTokens = openJoinTokens(":memory:", tools);
  const blobs = await openFileBlobStore(`${folder}/blobs`);
  const logger = createLogger({ program: "origin", level: "silent" });
  const desk = { ...tools, log, tokenKey: keys.token };
  const refusals: string[] = [];
  const forced: unknown[] = [];
  const events = {
    apiRefused: (code: string) => void refusals.push(code),
    guardRailsForced: (subject: string, broken: readonly string[]) => void forced.push({ subject, broken }),
  };
  const publishing = { blobs, publishKey: keys.publish };
  const observed = new ObservedNodes();
  const rollout = new RolloutDriver({
    ...{ log, observed, clock },
    distribution: new Distribution(log, keys.stream),
    events: createRolloutEvents(logger, createMetrics("origin")),
  });
  const records = openRecords(":memory:");
  const trial = createPolicyTrial();
  const parts = { ...desk, ...publishing, keys, joinTokens, records, observed, rollout, logger, events, trial };
  const server = await createOperatorApi(parts);
  t.teardown(async () => {
    rollout[Symbol.dispose]();
    await server.close();
    log[Symbol.dispose]();
    joinTokens[Symbol.dispose]();
    records[Symbol.dispose]();
  });
  const bearer = async (...scopes: string[]) => {
    const { token } = await issueToken(desk, "operator", { sub: "test", scopes }, 3600);
    return { authorization: `Bearer ${token}` };
  };
  return { ...parts, refusals, forced, server, bearer, admin: await bearer("admin") };
}

t.test("a request needs a token with the scope", async (t) => {
  const { server, bearer, clock, refusals } = await openApi(t);
  const status = async (headers: Record<string, string>) =>
    (await server.inject({ method: "POST", url: "/v1/apply", headers, payload: { documents: [site("shop")] } }))
      .statusCode;
  t.equal(await status({}), 401);
  t.equal(await status({ authorization: "Bearer nonsense" }), 401);
  t.equal(await status(await bearer("read")), 403);
  const apply = await bearer("apply");
  t.equal(await status(apply), 200);
  await clock.advance(3_700_000);
  t.equal(await status(apply), 401);
  t.same(refusals, ["token-invalid", "token-invalid", "permission-denied", "token-expired"]);
});

t.test("documents are applied all or none, with every fault of each", async (t) => {
  const { server, admin, log, refusals } = await openApi(t);
  const apply = (documents: unknown[], query = "") =>
    server.inject({ method: "POST", url: `/v1/apply${query}`, headers: admin, payload: { documents } });
  const bad = await apply([site("shop"), { ...site("x"), spec: {} }, { kind: "Nonsense" }, site("shop")]);
  t.equal(bad.statusCode, 422);
  t.same([...new Set(bad.json().faults.map((fault: { document: number }) => fault.document))], [1, 2, 3]);
  t.equal(log.revision(), 0);
  t.same(refusals, ["resource-invalid"]);
  t.match((await apply([site("shop")], "?dryRun=true")).json(), { dryRun: true, results: [{ action: "created" }] });
  t.equal(log.revision(), 0);
  t.match((await apply([site("shop")])).json(), { revision: 1, results: [{ action: "created", resourceVersion: 1 }] });
  t.match((await apply([site("shop")])).json(), { revision: 1, results: [{ action: "unchanged", changed: [] }] });
  const changed = { ...site("shop"), spec: { hostnames: ["b.example"], publish: {} } };
  t.match((await apply([changed])).json().results, [{ action: "changed", changed: ["/spec/hostnames"] }]);
  const one = await server.inject({ url: "/v1/resources/Site/shop", headers: admin });
  t.match(one.json(), { metadata: { generation: 2, resourceVersion: 2 } });
  const removed = await server.inject({ method: "DELETE", url: "/v1/resources/Site/shop", headers: admin });
  t.match(removed.json(), { revision: 4 });
  const buried = await server.inject({ url: "/v1/resources/Tombstone/site.shop", headers: admin });
  t.match(buried.json(), { metadata: { resourceVersion: 4 }, spec: { kind: "Site", name: "shop" } });
  await apply([site("shop")]);
  await server.inject({ method: "DELETE", url: "/v1/resources/Site/shop", headers: admin });
  const again = await server.inject({ url: "/v1/resources/Tombstone/site.shop", headers: admin });
  t.match(again.json(), { metadata: { resourceVersion: 7 } }, "another deletion is a later word");
  t.equal((await server.inject({ url: "/v1/resources/Site/shop", headers: admin })).statusCode, 404);
});

t.test("a host name that another site holds is refused, in the log or in the same request", async (t) => {
  const { server, admin, log } = await openApi(t);
  const apply = (documents: unknown[], query = "") =>
    server.inject({ method: "POST", url: `/v1/apply${query}`, headers: admin, payload: { documents } });
  const named = (name: string, ...hostnames: string[]) => ({ ...site(name), spec: { hostnames, publish: {} } });
  const refusal = (document: number, holder: string) => ({
    status: 422,
    code: "resource-invalid",
    faults: [{ document, pointer: "/spec/hostnames/1", message: new RegExp(`a\\.example is held by Site ${holder}`) }],
  });
  t.match(
    (await apply([named("shop", "a.example"), named("cafe", "b.example", "a.example")])).json(),
    refusal(1, "shop"),
  );
  t.equal(log.revision(), 0);
  await apply([named("shop", "a.example")]);
  for (const query of ["?dryRun=true", ""]) {
    const answer = await apply([site("other"), named("cafe", "b.example", "a.example")], query);
    t.match(answer.json(), refusal(1, "shop"), query);
  }
  t.equal(log.revision(), 1);
  t.equal((await apply([named("shop", "a.example", "a.example")])).statusCode, 200, "its own name");
  const moved = await apply([named("cafe", "a.example"), named("shop", "c.example")]);
  t.equal(moved.statusCode, 200, "what one site gives up in the request another may take");
});

t.test("a purge that gives no time is of the origin's now, and none is of later than its clock allows", async (t) => {
  const { server, admin, clock, log } = await openApi(t);
  const apply = (given: object) => {
    const spec = { site: "shop", match: { kind: "all" }, ...given };
    const documents = [{ apiVersion: "perigee.dev/v1", kind: "Purge", metadata: { name: "p1" }, spec }];
    return server.inject({ method: "POST", url: "/v1/apply", headers: admin, payload: { documents } });
  };
  t.equal((await apply({})).statusCode, 200);
  t.equal(getResource(log, "Purge", "p1").spec.atMs, clock.nowMs());
  const latestMs = clock.nowMs() + PURGE_AHEAD_MS_MAX;
  t.equal((await apply({ atMs: latestMs })).statusCode, 200);
  const faults = [{ document: 0, pointer: "/spec/atMs", message: /spec\.atMs must be at most .* leave it out/ }];
  t.match((await apply({ atMs: latestMs + 1 })).json(), { status: 422, code: "resource-invalid", faults });
  await clock.advance(5000);
  t.match((await apply({})).json().results, [{ action: "changed" }], "applied again it is a purge again");
  t.equal(getResource(log, "Purge", "p1").spec.atMs, clock.nowMs());
});

t.test("a folder's files become a release, and a wrong digest is refused", async (t) => {
  const { server, admin, bearer } = await openApi(t);
  await server.inject({ method: "POST", url: "/v1/apply", headers: admin, payload: { documents: [site("shop")] } });
  const bytes = Buffer.from("<h1>hello</h1>");
  const digest = createHash("sha256").update(bytes).digest("hex");
  const publisher = await bearer("publish:shop");
  const octets = { "content-type": "application/octet-stream" };
  const put = (headers: Record<string, string>, payload: Buffer) =>
    server.inject({
      method: "PUT",
      url: `/v1/sites/shop/blobs/${digest}`,
      headers: { ...octets, ...headers },
      payload,
    });
  const missing = () =>
    server.inject({
      method: "POST",
      url: "/v1/sites/shop/missing-blobs",
      headers: publisher,
      payload: { digests: [digest] },
    });
  t.same((await missing()).json(), { digests: [digest] });
  t.equal((await put(await bearer("publish:other"), bytes)).statusCode, 403);
  t.match((await put(publisher, Buffer.from("wrong"))).json(), { code: "digest-mismatch", status: 422 });
  t.match((await put(publisher, bytes)).json(), { sizeBytes: bytes.length });
  t.same((await missing()).json(), { digests: [] });
  const released = await server.inject({
    method: "POST",
    url: "/v1/sites/shop/releases",
    headers: publisher,
    payload: { files: { "/index.html": { digest, mediaType: "text/html" } } },
  });
  t.equal(released.statusCode, 201);
  t.match(released.json(), { site: "shop", generation: 1, files: 1, bytes: bytes.length });
  const back = { method: "POST" as const, url: "/v1/sites/shop/rollback", headers: publisher };
  t.match((await server.inject({ ...back, payload: { toGeneration: 1 } })).json(), { generation: 2 });
  await server.inject({ method: "DELETE", url: "/v1/resources/Site/shop", headers: admin });
  t.same((await server.inject({ url: "/v1/resources/Release", headers: admin })).json().items, []);
});

t.test("a join token is good once, for its name, and expires", async (t) => {
  const { server, admin, joinTokens, clock } = await openApi(t);
  await server.inject({ method: "POST", url: "/v1/apply", headers: admin, payload: { documents: [pool] } });
  const make = async (name: string): Promise<string> => {
    const payload = { role: "edge", name, pool: "near" };
    const answer = await server.inject({ method: "POST", url: "/v1/join-tokens", headers: admin, payload });
    t.match(answer.json().pin, /^sha256:[0-9a-f]{64}$/);
    return answer.json().token;
  };
  const token = await make("near-1");
  t.throws(() => joinTokens.redeem(token, "near-2"), { code: "join-token-name" });
  t.match(joinTokens.redeem(token, "near-1"), { role: "edge", pool: "near" });
  t.throws(() => joinTokens.redeem(token, "near-1"), { code: "join-token-used" });
  t.throws(() => joinTokens.redeem("never made", "near-1"), { code: "join-token-unknown" });
  const late = await make("near-3");
  await clock.advance(3_600_001);
  t.throws(() => joinTokens.redeem(late, "near-3"), { code: "join-token-expired" });
});

t.test("a pool is there before its join tokens, and goes after its nodes", async (t) => {
  const { server, admin, log } = await openApi(t);
  const join = async (role: string) => {
    const payload = { role, name: "near-1", ...(role === "scheduler" ? {} : { pool: "near" }) };
    return server.inject({ method: "POST", url: "/v1/join-tokens", headers: admin, payload });
  };
  for (const role of ["edge", "agent"]) {
    t.match((await join(role)).json(), { code: "not-found", detail: /NodePool near does not exist: apply it/ }, role);
  }
  t.equal((await join("scheduler")).statusCode, 201);
  const remove = async (path: string) =>
    (await server.inject({ method: "DELETE", url: `/v1/resources/${path}`, headers: admin })).json();
  t.match(await remove("NodePool/near"), { code: "not-found" });
  await server.inject({ method: "POST", url: "/v1/apply", headers: admin, payload: { documents: [pool] } });
  t.equal((await join("agent")).statusCode, 201);
  const spec = { role: "edge" as const, pool: "near", cordoned: false, draining: false };
  for (let index = 1; index <= 7; index += 1) {
    writeResource(log, { kind: "Node", metadata: { name: `near-${index}`, labels: {} }, spec }, 1);
  }
  const elsewhere = { ...spec, pool: "far" };
  writeResource(log, { kind: "Node", metadata: { name: "far-1", labels: {} }, spec: elsewhere }, 1);
  const detail = "NodePool near has the nodes near-1, near-2, near-3, near-4, near-5 and 2 more: delete each first";
  const refused = await remove("NodePool/near");
  t.match(refused, { status: 409, code: "resource-conflict", nodes: 7 });
  t.match(refused.detail, detail);
  for (let index = 1; index <= 7; index += 1) await remove(`Node/near-${index}`);
  t.match(await remove("NodePool/near"), { revision: log.revision() });
});

t.test("a token signed by another key is refused, and the API describes itself", async (t) => {
  const { server, clock, log } = await openApi(t);
  const desk = { clock, random: systemRandom, log, tokenKey: generateSigningKey() };
  const { token } = await issueToken(desk, "operator", { sub: "mallory", scopes: ["admin"] }, 60);
  const answer = await server.inject({ url: "/v1/nodes", headers: { authorization: `Bearer ${token}` } });
  t.match(answer.json(), { status: 401, code: "token-invalid" });
  const described = (await server.inject("/openapi.json")).json();
  t.match(described.components.securitySchemes.token, { type: "http", scheme: "bearer" });
  for (const [path, methods] of Object.entries<object>(described.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      t.ok(operation.summary && Object.keys(operation.responses).length > 0, `${method} ${path} is described`);
    }
  }
  t.ok(Object.keys(described.paths).length >= 9);
  t.match((await server.inject("/docs/")).headers["content-type"], "text/html");
});

t.test(
  "usage is read by hour or day, of all sites or one, by who may read, and no more than can be answered",
  async (t) => {
    const { server, admin, bearer, records, clock } = await openApi(t);
    const hourMs = clock.nowMs() - 2 * HOUR_MS;
    const append = (number: number, site: string, counts: object) =>
      records.append(
        "near-1",
        [
          {
            id: `usage/a/${number}`,
            kind: "usage",
            atMs: 1n,
            json: Buffer.from(JSON.stringify({ site, hourMs, counts })),
          },
        ],
        clock.nowMs(),
      );
    append(1, "shop", { hit: 3, "uri-miss": 1, "2xx": 3, "5xx": 1, sentBytes: 40, upstreamBytes: 10 });
    append(2, "films", { hit: 1, "2xx": 1, sentBytes: 5 });
    const ask = async (query: string, headers = admin) => server.inject({ url: `/v1/usage${query}`, headers });
    const shop = {
      ...{
        site: "shop",
        fromMs: hourMs,
        requests: 4,
        byCache: { hit: 3, "uri-miss": 1 },
        byStatus: { "2xx": 3, "5xx": 1 },
      },
      ...{ sentBytes: 40, upstreamBytes: 10, peerBytes: 0, originBytes: 0 },
    };
    t.same((await ask("?site=shop")).json(), { items: [shop] });
    t.match((await ask("")).json(), { items: [{ site: "films" }, { site: "shop" }] });
    t.match((await ask("?per=day&site=shop")).json(), { items: [{ fromMs: Date.UTC(2025, 11, 31), requests: 4 }] });
    t.same((await ask(`?toMs=${hourMs}`)).json(), { items: [] });
    t.same((await ask(`?fromMs=${hourMs + 1}`)).json(), { items: [] });
    t.equal((await ask("", await bearer("read"))).statusCode, 200);
    t.equal((await ask("", await bearer("join"))).statusCode, 403);
    t.equal((await ask("?per=week")).statusCode, 400);
    t.match((await ask(`?fromMs=${hourMs}&toMs=5`)).json(), { status: 400, detail: /fromMs must be before toMs/ });
    for (let number = 3; number <= USAGE_ROWS_MAX; number += 1) append(number, `s${number}`, { hit: 1, "2xx": 1 });
    t.equal((await ask("")).json().items.length, USAGE_ROWS_MAX);
    append(USAGE_ROWS_MAX + 2, "one-more", { hit: 1, "2xx": 1 });
    t.match((await ask("")).json(), { status: 400, detail: /more than 10000 sums are asked for: name a site/ });
  },
);

t.test("who asks for a roll-out that is not there hears what makes one", async (t) => {
  const { server, admin, rollout } = await openApi(t);
  const ask = async (name = "fleet") => {
    const answer = await server.inject({ url: `/v1/resources/Rollout/${name}`, headers: admin });
    return { status: answer.statusCode, detail: answer.json().detail };
  };
  const missing = /^there is no roll-out: .* apply one, named fleet, .*\(docs\/operating\/rollouts\.md\)$/;
  t.match(await ask(), { status: 404, detail: missing });
  const policy = {
    ...{ apiVersion: "perigee.dev/v1", kind: "RolloutPolicy", metadata: { name: "fleet" } },
    spec: { waves: [{ pools: ["near"] }] },
  };
  const payload = { documents: [policy] };
  t.equal((await server.inject({ method: "POST", url: "/v1/apply", headers: admin, payload })).statusCode, 200);
  t.match(await ask(), { status: 404, detail: /begins within a second of its policy/ });
  await rollout.look();
  t.equal((await ask()).status, 200);
  t.match(await ask("mine"), { status: 404, detail: /the roll-out is named fleet/ });
});

t.test("what a policy said before can be read, and written again by compare-and-swap", async (t) => {
  const { server, admin: headers, bearer, log } = await openApi(t);
  const policy = (stickinessMs: number, resourceVersion?: number) => ({
    ...{ apiVersion: "perigee.dev/v1", kind: "PlacementPolicy", spec: { apps: ["hall"], stickinessMs } },
    metadata: { name: "eu", ...(resourceVersion === undefined ? {} : { resourceVersion }) },
  });
  const apply = async (document: object) => {
    const answer = await server.inject({
      method: "POST",
      url: "/v1/apply",
      headers,
      payload: { documents: [document] },
    });
    return answer.json();
  };
  const get = async (path: string) => await server.inject({ url: `/v1/resources/${path}`, headers });
  const first = (await apply(policy(1))).revision;
  const second = (await apply(policy(9))).revision;
  log.compact(log.revision());
  const listed = (await get("PlacementPolicy/eu/revisions")).json();
  t.match(listed.items, [
    { revision: second, generation: 2, deleted: false, changed: ["/spec/stickinessMs"] },
    { revision: first, generation: 1, deleted: false },
  ]);
  const before = (await get(`PlacementPolicy/eu/revisions/${first}`)).json();
  t.match(before, { kind: "PlacementPolicy", metadata: { name: "eu", generation: 1 }, spec: { stickinessMs: 1 } });
  t.match(await apply(policy(1, first)), { code: "resource-conflict" }, "somebody wrote meanwhile");
  t.match(await apply(policy(1, second)), { results: [{ action: "changed", changed: ["/spec/stickinessMs"] }] });
  t.equal((await get("PlacementPolicy/eu/revisions/1000")).json().code, "not-found");
  t.equal((await get("PlacementPolicy/none/revisions")).json().code, "not-found");
  t.match((await get("Site/shop/revisions")).json(), { code: "argument-invalid", detail: /kept of PlacementPolicy/ });
  const forbidden = await server.inject({
    url: "/v1/resources/PlacementPolicy/eu/revisions",
    headers: await bearer("join"),
  });
  t.equal(forbidden.statusCode, 403);
});

t.test("faults of expressions are refused with the others; what is only suspicious is a warning", async (t) => {
  const { server, admin: headers, log } = await openApi(t);
  const apply = async (spec: object, name = "eu") => {
    const document = { apiVersion: "perigee.dev/v1", kind: "PlacementPolicy", metadata: { name }, spec };
    const payload = { documents: [pool, document] };
    return (await server.inject({ method: "POST", url: "/v1/apply?dryRun=true", headers, payload })).json();
  };
  const refused = await apply({
    apps: ["hall"],
    match: { expression: "client.land == 'DE'" },
    constraints: [{ expression: "pool.region" }, { label: "gpu", operator: "In", values: ["a"] }],
  });
  t.match(refused, { code: "resource-invalid" });
  t.match(
    refused.faults.map(
      ({ document, pointer, message }: Record<string, unknown>) => `${document} ${pointer} ${message}`,
    ),
    [
      /^1 \/spec\/match\/expression spec\.match\.expression No such key: land/,
      /^1 \/spec\/constraints\/0\/expression spec\.constraints\[0\]\.expression must be true or false/,
    ],
  );
  const warned = await apply({ apps: ["hall"], constraints: [{ expression: "pool.region == 'us'" }] });
  t.match(warned.warnings, [
    { document: 1, message: /expression matches no pool of 1/ },
    { document: 1, message: /no pool of 1 meets them all/ },
  ]);
  t.same((await apply({ apps: ["hall"], constraints: [{ expression: "pool.region == 'eu'" }] })).warnings, []);
  t.equal(log.revision(), 0);
});

t.test(
  "a change that breaks a policy's guard-rails is refused with the numbers, forced it passes and is told",
  async (t) => {
    const { server, admin: headers, log, forced } = await openApi(t);
    const at = (name: string, region: string, longitude: number) => ({
      ...pool,
      metadata: { name, labels: { "perigee.dev/slots": "40" } },
      spec: { region, coordinates: { latitude: 50, longitude } },
    });
    const hd = { name: "hd", eyeWidthPixels: 1024, eyeHeightPixels: 1024, frameRateHz: 72 };
    const bundle = { site: "scenes", path: "/hall.json" };
    const app = { ...pool, kind: "RenderApp", metadata: { name: "hall" }, spec: { bundle, classes: [hd] } };
    const guardRails = { shareWithinLimitMayFallByPoints: 5, refusalsMayRiseByPoints: 5 };
    const policy = (spec: object) => ({
      ...{ apiVersion: "perigee.dev/v1", kind: "PlacementPolicy", metadata: { name: "eu" } },
      spec: { apps: ["hall"], onNoFit: "reject", guardRails, ...spec },
    });
    const apply = async (documents: readonly object[], query = "") => {
      const answer = await server.inject({ method: "POST", url: `/v1/apply${query}`, headers, payload: { documents } });
      return { status: answer.statusCode, ...answer.json() };
    };
    const alone = await apply([policy({})]);
    t.match(alone.warnings, [{ document: 0, message: /not judged: no pool has a slot/ }]);
    t.match(await apply([at("near", "eu-central", 8), at("far", "eu-west", 2), app]), { status: 200 });
    const cut = policy({ constraints: [{ label: "perigee.dev/region", operator: "In", values: ["eu-west"] }] });
    const before = log.revision();
    const refused = await apply([cut]);
    t.match(refused, { status: 422, code: "guard-rails-broken" });
    t.match(refused.faults, [
      {
        ...{ document: 0, pointer: "/spec/guardRails/shareWithinLimitMayFallByPoints" },
        message:
          /^guard-rail of eu: \d+\.\d % of \d+ sessions would be within their limit, \d+\.\d % are: \d+\.\d points less; shareWithinLimitMayFallByPoints is 5$/,
      },
      { pointer: "/spec/guardRails/refusalsMayRiseByPoints", message: /would be refused or told to wait/ },
    ]);
    t.match(await apply([cut], "?dryRun=true"), { code: "guard-rails-broken" }, "a dry run says so too");
    const unrailed = { ...cut, spec: { ...cut.spec, guardRails: undefined } };
    t.match(
      await apply([unrailed]),
      { code: "guard-rails-broken" },
      "nor does it go without the rails that are stored",
    );
    t.equal(log.revision(), before);
    t.same((await apply([policy({ stickinessMs: 5 })])).warnings, [], "what keeps within them passes");
    const elsewhere = { ...policy({ match: { tenants: ["acme"] } }), metadata: { name: "idle" } };
    const unasked = await apply([{ ...elsewhere, spec: { ...elsewhere.spec, apps: ["else"] } }]);
    t.match(unasked.warnings.at(-1)?.message, /guard-rails of idle are not judged: it applies to no session/);
    t.same(forced, []);
    const passed = await apply([cut], "?force=true");
    t.match(passed, { status: 200, warnings: [{ message: /^forced: guard-rail of eu/ }, { message: /^forced/ }] });
    t.match(forced, [{ subject: "test", broken: [/points less/, /points more/] }]);
    const remove = async (query = "") => {
      const url = `/v1/resources/NodePool/far${query}`;
      return (await server.inject({ method: "DELETE", url, headers })).json();
    };
    const kept = await remove();
    t.match(kept, {
      code: "guard-rails-broken",
      detail: /^guard-rail of eu: \d.* points less; share.*\nguard-rail of eu: /,
    });
    t.match(kept.faults, [
      { document: 0, pointer: "/spec/guardRails/shareWithinLimitMayFallByPoints" },
      { document: 0 },
    ]);
    t.not(log.find("NodePool", "far"), undefined);
    t.match(await remove("?force=true"), {
      warnings: [{ message: /^forced: guard-rail of eu/ }, { message: /^forced/ }],
    });
    t.match(forced.slice(1), [{ subject: "test", broken: [/points less/, /points more/] }]);
    t.equal(log.find("NodePool", "far"), undefined);
  },
);

t.test("guard-rails wait for agents of which nothing was ever known", async (t) => {
  const { server, admin: headers, log } = await openApi(t);
  const apply = async (spec: object, query = "") => {
    const document = { apiVersion: "perigee.dev/v1", kind: "PlacementPolicy", metadata: { name: "eu" }, spec };
    const payload = { documents: [document] };
    return (await server.inject({ method: "POST", url: `/v1/apply${query}`, headers, payload })).json();
  };
  await server.inject({ method: "POST", url: "/v1/apply", headers, payload: { documents: [pool] } });
  const node = { role: "agent", pool: "near", cordoned: false, draining: false } as const;
  writeResource(log, { kind: "Node", metadata: { name: "gpu-1", labels: {} }, spec: node }, 1);
  const spec = { apps: ["hall"], guardRails: { movesMax: 0 } };
  t.match(await apply(spec), { code: "unavailable", detail: /none of 1 agents has ever reported/ });
  t.match(await apply(spec, "?force=true"), { warnings: [{ message: /cannot be judged/ }] });
  t.match(await apply({ apps: ["hall"] }), { code: "unavailable" }, "the rails that are stored hold as well");
});
