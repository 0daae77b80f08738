import t from "tap";
import { say } from "./upstream.ts";
import { isHit, staleFields, startWorld } from "./world.ts";

const world = await startWorld(t);
const { upstream } = world;
const asking = (cacheControl: string) => ({ headers: { "cache-control": cacheControl } });

t.test(
  "only-if-cached is 504 where nothing may be served, without asking the upstream (RFC 9111 section 5.2.1.7)",
  async (t) => {
    upstream.on("/cached-only", say("stored", { "cache-control": "max-age=3600" }));
    t.equal((await world.ask("/cached-only", asking("only-if-cached"))).status, 504);
    t.equal(upstream.received("/cached-only").length, 0);
    await world.prime("/cached-only");
    const hit = await world.ask("/cached-only", asking("only-if-cached"));
    t.same([hit.status, hit.text], [200, "stored"]);
    t.equal(upstream.received("/cached-only").length, 1);
  },
);

const TARGETED: readonly (readonly [string, Readonly<Record<string, string>>, boolean])[] = [
  ["CDN-Cache-Control over Cache-Control", { "cache-control": "no-store", "cdn-cache-control": "max-age=60" }, true],
  [
    "CDN-Cache-Control over Cache-Control, to forbid",
    { "cache-control": "max-age=60", "cdn-cache-control": "no-store" },
    false,
  ],
  [
    "CDN-Cache-Control over Expires",
    { expires: "Tue, 01 Sep 2065 00:00:00 GMT", "cdn-cache-control": "max-age=0" },
    false,
  ],
  [
    "Perigee-CDN-Cache-Control over both",
    { "cache-control": "no-store", "cdn-cache-control": "no-store", "perigee-cdn-cache-control": "max-age=60" },
    true,
  ],
  [
    "Perigee-CDN-Cache-Control over both, to forbid",
    { "cache-control": "max-age=60", "cdn-cache-control": "max-age=60", "perigee-cdn-cache-control": "private" },
    false,
  ],
  ["nothing that is no dictionary", { "cache-control": "max-age=60", "cdn-cache-control": "max-age=;;" }, true],
  ["no other's", { "cache-control": "max-age=60", "other-cdn-cache-control": "no-store" }, true],
];

t.test("this cache obeys the most specific field for it, and passes all of them on (RFC 9213 section 2)", async (t) => {
  for (const [index, [name, fields, isStored]] of TARGETED.entries()) {
    const target = `/targeted/${index}`;
    upstream.on(target, say("body", fields));
    await world.prime(target);
    const answer = await world.ask(target);
    t.equal(isHit(answer), isStored, name);
    t.match(answer.headers, fields, `${name}: passed on`);
  }
});

t.test("a request that takes what is stale gets nothing that was not stored for all", async (t) => {
  for (const [name, fields] of Object.entries({
    "no-store": { "cache-control": "no-store" },
    private: { "cache-control": "private, max-age=60" },
    cookie: { "cache-control": "max-age=60", "set-cookie": "session=first" },
  })) {
    const target = `/not-for-all/${name}`;
    upstream.on(target, (exchange) => say(`body ${exchange.turn}`, fields)(exchange));
    await world.prime(target);
    t.equal((await world.ask(target, asking("max-stale"))).text, "body 2", name);
    t.equal((await world.ask(target, asking("max-stale, only-if-cached"))).status, 504, name);
  }
  upstream.on("/authorised", (exchange) => say(`body ${exchange.turn}`, { "cache-control": "max-age=60" })(exchange));
  await world.prime("/authorised", { headers: { authorization: "Bearer first" } });
  t.equal((await world.ask("/authorised", asking("max-stale"))).text, "body 2", "of one who is authorised");
});

t.test(
  "max-stale takes what is stale, but not what must be validated (RFC 9111 sections 5.2.1.2 and 5.2.2.2)",
  async (t) => {
    for (const [directive, isTaken] of [
      ["", true],
      ["must-revalidate", false],
      ["proxy-revalidate", false],
      ["no-cache", false],
      ["s-maxage=60", false],
    ] as const) {
      const target = `/taken/${directive || "plain"}`;
      upstream.on(target, (exchange) => say(`body ${exchange.turn}`, staleFields(directive))(exchange));
      await world.prime(target);
      t.equal((await world.ask(target, asking("max-stale"))).text, isTaken ? "body 1" : "body 2", target);
    }
  },
);
