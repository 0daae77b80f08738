import t from "tap";
import { say } from "./upstream.ts";
import { isHit, startWorld, times } from "./world.ts";

/** Far more than any honest negotiation makes. */
const VARIANTS = 200;
/** Of these, fewer than half may still be there. */
const VARIANTS_STORED_MAX = 100;
const FORGED = "forged.example";

const world = await startWorld(t);
const { upstream } = world;

t.test("a response is stored for its host only, however the host is written", async (t) => {
  upstream.on("/host", ({ request, response, turn }) => {
    response.writeHead(200, { "cache-control": "max-age=60" }).end(`${turn} ${request.headers.host}`);
  });
  const asked = (host: string) => world.ask("/host", { headers: { host } });
  await world.prime("/host", { headers: { host: "a.example" } });
  t.ok(isHit(await asked("a.example")));
  t.ok(isHit(await asked("A.Example")), "in capitals");
  const other = await asked("b.example");
  t.notOk(isHit(other), "another host");
  t.match(other.text, /^2 /);
  t.notOk(isHit(await asked("a.example:8443")), "another port");
});

t.test("what says where a request came from does not reach what is stored for all", async (t) => {
  const names = [
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-scheme",
  ];
  const more = ["x-forwarded-server", "x-forwarded-for", "x-forwarded-ssl", "forwarded"];
  for (const name of [...names, ...more]) {
    const target = `/forwarded/${name}`;
    upstream.on(target, ({ request, response }) => {
      const said = Object.entries(request.headers).filter(([field]) => field.includes("forwarded"));
      response.writeHead(200, { "cache-control": "max-age=60" }).end(JSON.stringify(said));
    });
    const value = name === "forwarded" ? `host=${FORGED};for=${FORGED}` : FORGED;
    await world.prime(target, { headers: { [name]: value } });
    const later = await world.ask(target);
    t.ok(isHit(later), name);
    t.notMatch(later.text, FORGED, name);
  }
});

t.test("a cookie that a response sets goes to the one who asked only", async (t) => {
  upstream.on("/cookie", ({ response, turn }) => {
    response
      .writeHead(200, { "cache-control": "max-age=3600, public", "set-cookie": `session=${turn}` })
      .end(String(turn));
  });
  await world.prime("/cookie");
  const second = await world.ask("/cookie");
  t.same([second.text, second.headers["set-cookie"]], ["2", ["session=2"]]);
});

t.test("variants without end leave others their room, and each request gets its own", async (t) => {
  upstream.on("/variants", ({ request, response }) => {
    response.writeHead(200, { "cache-control": "max-age=3600", vary: "x-kind" }).end(String(request.headers["x-kind"]));
  });
  const asked = (kind: string) => world.ask("/variants", { headers: { "x-kind": kind } });
  for (const kind of times(VARIANTS, String)) t.equal((await asked(kind)).text, kind, kind);
  await world.settle();
  const before = upstream.received("/variants").length;
  for (const kind of times(VARIANTS, (index) => String(VARIANTS - 1 - index)).slice(0, VARIANTS_STORED_MAX))
    t.equal((await asked(kind)).text, kind, kind);
  t.ok(upstream.received("/variants").length - before > 0, "the oldest are not kept");
});

t.test(
  "Accept-Encoding and Accept-Language vary by what they say, not by the order in which they say it",
  async (t) => {
    for (const [name, one, same] of [
      ["accept-encoding", "gzip, br", "br,gzip"],
      ["accept-language", "de;q=0.5, en", "en, de;q=0.5"],
    ] as const) {
      const target = `/order/${name}`;
      upstream.on(target, say("body", { "cache-control": "max-age=60", vary: name }));
      await world.prime(target, { headers: { [name]: one } });
      t.ok(isHit(await world.ask(target, { headers: { [name]: same } })), name);
      t.notOk(isHit(await world.ask(target, { headers: { [name]: "fr, zstd" } })), name);
    }
  },
);

t.test("fields that only describe a hop are neither passed on nor stored (RFC 9110 section 7.6.1)", async (t) => {
  upstream.on("/hop", ({ request, response }) => {
    response.writeHead(200, {
      "cache-control": "max-age=60",
      connection: "x-hop, keep-alive",
      "x-hop": "1",
      "proxy-authenticate": "x",
    });
    response.end(
      JSON.stringify([request.headers["x-mine"], request.headers["te"], request.headers["proxy-authorization"]]),
    );
  });
  const first = await world.prime("/hop", {
    headers: { connection: "close, x-mine", "x-mine": "1", te: "trailers", "proxy-authorization": "Basic eDp5" },
  });
  t.equal(first.text, "[null,null,null]");
  t.equal((await world.ask("/hop")).headers["x-hop"], undefined);
});
