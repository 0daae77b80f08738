import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";
import t, { type Test } from "tap";
import { formatSignature, type SignedTerms, statementOf, withSignature } from "#domain/access/signed-url.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { createLogger } from "#platform/logging.ts";
import { seededRandom } from "#platform/random.ts";
import { askOnOneConnection } from "#test/front/one-connection.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { type StandaloneOptions, startStandalone } from "../standalone-proxy.ts";
import { proofOf } from "./signing-keys.ts";
import { trustedProxiesOf } from "./trusted-proxies.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const NOW_MS = Date.UTC(2026, 10, 24);
const secret = Buffer.alloc(32, 7);
const newer = Buffer.alloc(32, 8);
const keys = [
  { algorithm: "hmac-sha-256", keyId: "old", secret },
  { algorithm: "hmac-sha-256", keyId: "new", secret: newer },
] as const;

function sign(target: string, more: Partial<SignedTerms> = {}) {
  const terms = { keyId: "new", expiresAtSeconds: NOW_MS / 1000 + 60, ...more };
  const key = { algorithm: "hmac-sha-256", secret: terms.keyId === "new" ? newer : secret } as const;
  return { ...terms, proof: proofOf(statementOf("standalone", target, terms), key) };
}

async function start(
  t: Test,
  access: NonNullable<StandaloneOptions["access"]>,
  more: Pick<StandaloneOptions, "accessLog"> = {},
) {
  const seen: IncomingMessage[] = [];
  const upstream = createServer((incoming, response) => {
    seen.push(incoming);
    response.writeHead(200, { "cache-control": "max-age=60", vary: "cookie" }).end(`of ${incoming.url}`);
  });
  const { port } = await listen(upstream, LOCAL);
  t.teardown(() => closeServer(upstream));
  const clock = new VirtualClock(NOW_MS);
  const edge = await startStandalone({
    listen: LOCAL,
    admin: LOCAL,
    upstream: new URL(`http://127.0.0.1:${port}`),
    memoryBytesMax: 1e6,
    random: seededRandom(1),
    clock,
    logger: createLogger({ program: "edge", level: "silent" }),
    access,
    ...more,
  });
  t.teardown(() => edge[Symbol.asyncDispose]());
  const askForBytes = askOnOneConnection(t, edge.address);
  const ask = async (...asked: Parameters<typeof askForBytes>) => {
    const answer = await askForBytes(...asked);
    return { ...answer, body: answer.body.toString() };
  };
  const metrics = async () => await (await fetch(`http://127.0.0.1:${edge.admin?.port}/metrics`)).text();
  return { edge, seen, clock, ask, metrics };
}

t.test("a signed URL opens what is kept; neither the key nor the upstream sees that it was signed", async (t) => {
  const { seen, clock, ask, metrics } = await start(t, { signed: { keys, paths: ["/films/*"] } });
  const closed = await ask("/films/a");
  t.match([closed.status, closed.headers["content-type"]], [403, "application/problem+json"]);
  t.match(JSON.parse(closed.body), { code: "permission-denied", reason: "signature-missing" });
  t.match(closed.headers["proxy-status"], "http_request_denied");
  t.equal(closed.headers["cache-control"], "no-store");
  t.equal(seen.length, 0, "verified before anything is looked up");
  const first = await ask(withSignature("/films/a?x=1", sign("/films/a?x=1")));
  t.match([first.status, first.body], [200, "of /films/a?x=1"]);
  const other = await ask(withSignature("/films/a?x=1", sign("/films/a?x=1", { keyId: "old" })));
  t.match(other.headers["cache-status"], "Perigee; hit", "by another key and later: the same stored response");
  t.equal((await ask("/films/a?x=1")).status, 403, "that it is stored opens nothing");
  t.equal((await ask("/films/a?x=1", {}, "HEAD")).status, 403);
  t.equal((await ask("/films/a?x=1", {}, "POST")).status, 403);
  t.equal((await ask("/%66ilms/a?x=1")).status, 403);
  t.equal((await ask("/x/../films/a?x=1")).status, 403);
  t.equal((await ask("/open?perigee-signature=anything")).body, "of /open", "where none is needed none is passed on");
  await clock.advance(66_000);
  const late = await ask(withSignature("/films/a?x=1", sign("/films/a?x=1")));
  t.match([late.status, JSON.parse(late.body).reason], [403, "signature-expired"]);
  t.same(
    seen.map(({ url }) => url),
    ["/films/a?x=1", "/open"],
  );
  const counted = await metrics();
  t.match(counted, 'access_refused_total{reason="signature-missing"} 6');
  t.match(counted, 'access_refused_total{reason="signature-expired"} 1');
});

t.test("a signed cookie opens all under its prefix, and is kept from the upstream and from the variants", async (t) => {
  const { seen, ask } = await start(t, { signed: { keys, paths: ["/*"] } });
  const cookie = `perigee-signature=${formatSignature(sign("", { prefix: "/films/" }))}`;
  t.equal((await ask("/films/a", { cookie: `theme=dark; ${cookie}` })).status, 200);
  t.equal(seen[0]?.headers.cookie, "theme=dark");
  t.match((await ask("/films/a", { cookie: `${cookie}; theme=dark` })).headers["cache-status"], "hit");
  t.equal((await ask("/films/b", { cookie })).status, 200);
  t.equal(seen[1]?.headers.cookie, undefined);
  t.equal((await ask("/other", { cookie })).status, 403);
  t.equal((await ask("/films/../other", { cookie })).status, 403);
  t.equal((await ask("/films/a", { cookie: "theme=dark" })).status, 403);
});

t.test("a signature for one client is good for no other, by the word of a trusted proxy only", async (t) => {
  const proxies = trustedProxiesOf("x-forwarded-for", ["127.0.0.0/8"]);
  const { ask } = await start(t, { signed: { keys, paths: ["/*"] }, proxies });
  const url = withSignature("/a", sign("/a", { client: "203.0.113.7" }));
  t.equal((await ask(url, { "x-forwarded-for": "203.0.113.7" })).status, 200);
  t.equal((await ask(url, { "x-forwarded-for": "203.0.113.7, 203.0.113.8" })).status, 403);
  t.equal((await ask(url)).status, 403);
  const alone = await start(t, { signed: { keys, paths: ["/*"] } });
  t.equal((await alone.ask(url, { "x-forwarded-for": "203.0.113.7" })).status, 403, "no proxy is trusted");
});

t.test(
  "a client over its rate is told when to come back, exactly then it is answered, and others always are",
  async (t) => {
    const proxies = trustedProxiesOf("x-client", ["127.0.0.1"]);
    const { seen, clock, ask, metrics } = await start(t, { rateLimit: { requestsPerSecond: 2, burst: 3 }, proxies });
    const from = (client: string, path = "/a") => ask(path, { "x-client": client });
    for (const turn of [1, 2, 3]) t.equal((await from("203.0.113.7")).status, 200, `request ${turn}`);
    const over = await from("203.0.113.7", "/b");
    t.match([over.status, over.headers["retry-after"]], [429, "1"]);
    t.match(over.headers["ratelimit"], '"client";r=0;t=1');
    t.match(over.headers["ratelimit-policy"], '"client";q=3;w=2');
    t.match(JSON.parse(over.body), { code: "overloaded", status: 429 });
    t.equal((await from("203.0.113.8")).status, 200, "another client");
    await clock.advance(499);
    t.equal((await from("203.0.113.7")).status, 429);
    await clock.advance(1);
    t.equal((await from("203.0.113.7")).status, 200);
    t.equal((await from("203.0.113.7")).status, 429);
    t.equal((await from("2001:db8::1")).status, 200);
    for (const turn of [2, 3]) t.equal((await from(`2001:db8::${turn}`)).status, 200, `of one network, ${turn}`);
    t.equal((await from("2001:db8:0:0:ffff::4")).status, 429, "a user of IPv6 is its network");
    t.equal(seen.length, 1, "hits count too, and what is refused goes nowhere");
    t.match(await metrics(), 'access_refused_total{reason="rate-limited"} 4');
  },
);

t.test("the rate counts what is refused for its signature too", async (t) => {
  const { ask } = await start(t, { signed: { keys, paths: ["/*"] }, rateLimit: { requestsPerSecond: 1, burst: 2 } });
  t.same([(await ask("/a")).status, (await ask("/a")).status, (await ask("/a")).status], [403, 403, 429]);
});

t.test("no signature is written down, of what was allowed or refused", async (t) => {
  const file = join(testFolder(t), "access.log");
  const rateLimit = { requestsPerSecond: 0.01, burst: 2 };
  const { edge, ask } = await start(t, { signed: { keys, paths: ["/*"] }, rateLimit }, { accessLog: file });
  const good = withSignature("/a?x=1", sign("/a?x=1"));
  const statuses = [(await ask(good)).status, (await ask(`${good}A`)).status, (await ask(good)).status];
  t.same(statuses, [200, 403, 429]);
  await edge[Symbol.asyncDispose]();
  const lines = readFileSync(file, "utf8").trim().split("\n");
  t.same(
    lines.map((line) => JSON.parse(line).target),
    ["/a?x=1", "/a?x=1", "/a?x=1"],
  );
});
