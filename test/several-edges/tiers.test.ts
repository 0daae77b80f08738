/** Tiers over real sockets: one fetch for a pool, its parent before the upstream, and what happens when an edge is gone. */
import { request } from "node:https";
import { buffer } from "node:stream/consumers";
import t from "tap";
import type { Address } from "#platform/address.ts";
import { type Answer, api, document, get, kill } from "../edge-origin/edge-and-origin.ts";
import { metricOf, spawnTierEdge, startTierWorld, untilAllKnow, untilApplied } from "./tier-world.ts";

const paths = (count: number) => Array.from({ length: count }, (_, index) => `/page/${index}`);

t.test("each of 30 keys is fetched once for a pool of three, the other edges have it from its home", async (t) => {
  const { upstream, edges } = await startTierWorld(t, { near: { edges: 3 } });
  const keys = paths(30);
  const answers = await Promise.all(edges.flatMap((edge) => keys.map((path) => edge.ask(path))));
  for (const [at, answer] of answers.entries()) t.equal(answer.body.toString(), `${keys[at % 30]} 1`);
  t.same([...upstream.asked].sort(), [...keys].sort(), "one request a key");
  const hits = await Promise.all(edges.map((edge) => metricOf(edge, "tier_requests_total", 'outcome="answered"')));
  t.equal(
    hits.reduce((sum, count) => sum + count, 0),
    60,
    "two edges ask the home of each key",
  );
  const again = await Promise.all(edges.flatMap((edge) => keys.map((path) => edge.ask(path))));
  for (const { headers } of again) t.match(headers["cache-status"], /Perigee; hit/);
  t.equal(upstream.asked.length, 30);
});

t.test(
  "a miss goes to the parent pool before the upstream, Age and Cache-Status go along, a 304 validates",
  async (t) => {
    const { upstream, edges } = await startTierWorld(t, { core: { edges: 1 }, near: { edges: 1, parent: "core" } });
    const [core, near] = edges;
    if (core === undefined || near === undefined) throw new Error("two edges");
    const validators: (string | undefined)[] = [];
    upstream.respond = (incoming, response) => {
      validators.push(incoming.headers["if-none-match"]);
      const fields = { "cache-control": "max-age=600", age: "100", etag: '"v1"', date: new Date().toUTCString() };
      const isSame = incoming.headers["if-none-match"] === '"v1"';
      response.writeHead(isSame ? 304 : 200, fields).end(isSame ? undefined : "one");
    };
    const first = await near.ask("/page");
    t.equal(first.body.toString(), "one");
    t.same(upstream.asked, ["/page"]);
    t.match(first.headers["cache-status"], /^Perigee; fwd=uri-miss.*, Perigee; fwd=uri-miss/);
    t.equal(await metricOf(near, "tier_requests_total", 'tier="parent",outcome="answered"'), 1);
    t.match((await core.ask("/page")).headers["cache-status"], /hit/, "the parent keeps it");
    for (const edge of edges) {
      const age = Number((await edge.ask("/page")).headers["age"]);
      t.ok(age >= 100 && age < 120, `${edge.name}: ${age}`);
    }
    const validated = await near.ask("/page", { "cache-control": "no-cache" });
    t.equal(validated.body.toString(), "one");
    t.match(validated.headers["cache-status"], /fwd-status=304/);
    t.same(validators, [undefined, '"v1"'], "over both tiers to the upstream");
  },
);

t.test("a sibling that is killed while it answers costs no request, nor a byte", async (t) => {
  const { cloud, upstream, edges } = await startTierWorld(t, { near: { edges: 2 } });
  const victim = await spawnTierEdge(t, cloud, "near-3");
  await untilAllKnow(cloud, edges, 3);
  const body = Buffer.alloc(512 * 1024, "0123456789abcdef");
  const isRest: string[] = [];
  upstream.respond = (incoming, response) => {
    const from = Number(/^bytes=(\d+)-$/.exec(incoming.headers.range ?? "")?.[1] ?? 0);
    const fields = { "cache-control": "max-age=600", etag: '"v1"', "content-length": body.byteLength - from };
    if (from === 0) response.writeHead(200, fields);
    else {
      isRest.push(incoming.url ?? "");
      response.writeHead(206, {
        ...fields,
        "content-range": `bytes ${from}-${body.byteLength - 1}/${body.byteLength}`,
      });
    }
    response.write(body.subarray(from, from + 64 * 1024));
    held.push(() => response.end(body.subarray(from + 64 * 1024)));
    if (held.length === keys.length) void kill(victim.child).then(releaseAll);
    else if (held.length > keys.length) releaseAll();
  };
  const keys = paths(12);
  const held: (() => void)[] = [];
  const releaseAll = () => {
    for (const release of held) release();
  };
  const [asker] = edges;
  const answers = await Promise.all(keys.map((path) => asker?.ask(path)));
  for (const [at, answer] of answers.entries()) {
    t.equal(answer?.status, 200, `${keys[at]}`);
    t.ok(answer?.body.equals(body), `${keys[at]} is whole`);
  }
  t.ok(isRest.length > 0, "some were at the edge that was killed, and went on at the upstream");
  upstream.respond = (incoming, response) =>
    void response.writeHead(200, { "cache-control": "max-age=600" }).end(incoming.url);
  const later = await Promise.all(edges.flatMap((edge) => paths(40).map((path) => edge.ask(`/later${path}`))));
  t.ok(later.every(({ status, body: text }) => status === 200 && text.toString().startsWith("/later")));
});

t.test(
  "an upstream that leads back to an edge is a loop, also over a sibling, and a list too long is one",
  async (t) => {
    const { cloud, edges } = await startTierWorld(t, { near: { edges: 2 } });
    const [one, two] = edges;
    if (one === undefined || two === undefined) throw new Error("two edges");
    const back = {
      hostnames: ["localhost"],
      pull: { upstream: `http://localhost:${one.running.addresses.content.port}` },
    };
    await api(cloud, "POST", "/v1/apply", { documents: [document("Site", "back", back)] });
    await untilApplied(cloud, edges);
    for (const edge of edges) {
      for (const path of paths(6)) {
        const answer = await get(edge.running.addresses.content, path, { host: "localhost" });
        t.equal(answer.status, 508, `${edge.name} ${path}`);
        t.match(answer.headers, { "proxy-status": /error=proxy_loop_detected/ });
      }
    }
    const hops = Array.from({ length: 10 }, (_, index) => `c${index}.example`).join(", ");
    t.equal((await one.ask("/page", { "cdn-loop": hops })).status, 508);
    t.equal((await one.ask("/page", { "cdn-loop": "other.example" })).status, 200);
  },
);

t.test("an edge of another pool, or without a certificate, is told nothing", async (t) => {
  const { edges } = await startTierWorld(t, { near: { edges: 1 }, far: { edges: 1 } });
  const [near] = edges;
  const peer = near?.running.addresses.peer;
  if (peer === undefined) throw new Error("it listens to others");
  const said = 'site="front", scheme=http, host="front.example", epoch=1, purge=0';
  const answer = await fetchOverTls(peer, { "perigee-tier": said });
  t.equal(answer.status, 403);
  t.equal(answer.headers["perigee-tier"], "declined=untrusted");
});

/** As somebody who has no certificate of this installation. */
function fetchOverTls(address: Address, headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request({ ...address, path: "/page", headers, rejectUnauthorized: false, agent: false }, (response) => {
      const { statusCode: status = 0, headers: answered } = response;
      buffer(response).then((body) => resolve({ status, headers: answered, body }), reject);
    })
      .once("error", reject)
      .end();
  });
}
