/** What one user agent does to what others get: nothing that its request's key does not say. */
import t from "tap";
import { SLICE_BYTES } from "#edge-node/caching/slices.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { rangesOf, say } from "./upstream.ts";
import type { Answer } from "./user-agent.ts";
import { isHit, startWorld, times } from "./world.ts";

const FRESH = "max-age=600";

t.test("a range that cannot be satisfied is the asker's own affair", async (t) => {
  const world = await startWorld(t);
  const moved = { bytes: 0 };
  world.upstream.on(
    "/r",
    rangesOf({ body: Buffer.from("whole"), fields: { "cache-control": FRESH, etag: '"a"' }, moved }),
  );
  t.equal((await world.ask("/r", { headers: { range: "bytes=900000-" } })).status, 416);
  const answer = await world.prime("/r");
  t.match(answer, { status: 200, text: "whole" });
  t.ok(isHit(await world.ask("/r")), "and the target is stored as ever");
});

t.test("a validation that negotiates by more gives nobody another's page", async (t) => {
  const world = await startWorld(t);
  const stale = { "cache-control": "max-age=60", age: "3600", etag: '"a"' };
  world.upstream.on("/vary", (exchange) => {
    const { request, response, turn } = exchange;
    if (turn === 1) return say("alice", stale)(exchange);
    if (request.headers["if-none-match"] !== undefined)
      return void response.writeHead(304, { vary: "cookie", "cache-control": FRESH, etag: '"a"' }).end();
    return say(String(request.headers.cookie), { vary: "cookie", "cache-control": FRESH })(exchange);
  });
  await world.prime("/vary", { headers: { cookie: "alice" } });
  t.equal((await world.prime("/vary", { headers: { cookie: "alice" } })).text, "alice");
  t.equal((await world.ask("/vary", { headers: { cookie: "bob" } })).text, "bob");
});

t.test("a field that Connection names is neither passed on nor in the key", async (t) => {
  const world = await startWorld(t);
  world.upstream.on("/lang", (exchange) => {
    const { request } = exchange;
    const text = request.headers["accept-language"] ?? "default";
    return say(text, { "cache-control": FRESH, vary: "accept-language" })(exchange);
  });
  const trick = { "accept-language": "de", connection: "accept-language" };
  t.equal((await world.prime("/lang", { headers: trick })).text, "default");
  t.equal((await world.ask("/lang", { headers: { "accept-language": "de" } })).text, "de");
});

t.test("an absent field, an empty one and one of commas are three variants", async (t) => {
  const world = await startWorld(t);
  world.upstream.on("/origin", (exchange) => {
    const { request } = exchange;
    const fields = { "cache-control": FRESH, vary: "origin" };
    const text = JSON.stringify(request.headers.origin ?? null);
    return say(text, fields)(exchange);
  });
  for (const origin of [undefined, "", ",", "https://a.example", "https://a.example,"]) {
    const headers: Record<string, string> = origin === undefined ? {} : { origin };
    const { text } = await world.prime("/origin", { headers });
    t.equal(text, JSON.stringify(origin ?? null), String(origin));
  }
});

t.test("a HEAD says of the stored response only what a GET for all would have", async (t) => {
  const world = await startWorld(t);
  world.upstream.on("/head", ({ request, response }) => {
    const isTricked = request.headers["x-http-method-override"] !== undefined;
    const type = isTricked ? "text/evil" : "text/plain";
    response.writeHead(200, {
      "cache-control": FRESH,
      age: request.method === "GET" ? "3600" : "0",
      "content-type": type,
      "content-length": 4,
    });
    response.end(request.method === "HEAD" ? undefined : "page");
  });
  await world.prime("/head");
  await world.ask("/head", { method: "HEAD", headers: { "x-http-method-override": "DELETE" } });
  const answer = await world.ask("/head");
  t.equal(answer.headers["content-type"], "text/plain");
});

t.test("no request of one makes a target uncached for others", async (t) => {
  const world = await startWorld(t);
  world.upstream.on("/page", (exchange) => {
    const { request, response } = exchange;
    if (request.headers["x-bad"] !== undefined)
      return void response.writeHead(400, { "cache-control": "no-store" }).end();
    return say("page", { "cache-control": FRESH })(exchange);
  });
  await world.ask("/page", { headers: { "x-bad": "1" } });
  await world.ask("/page", { headers: { authorization: "Basic x" } });
  await world.prime("/page");
  t.ok(isHit(await world.ask("/page")));
});

t.test("conditions of other methods than GET and HEAD are the upstream's to evaluate", async (t) => {
  const world = await startWorld(t);
  for (const method of ["PUT", "POST", "PATCH", "OPTIONS"]) {
    world.upstream.on(`/${method}`, say("done", { etag: '"a"' }));
    const answer = await world.ask(`/${method}`, { method, headers: { "if-none-match": '"a"' } });
    t.match(answer, { status: 200, text: "done" }, method);
  }
});

t.test("a part that is shorter than it says is stored for nobody, and cuts the connection", async (t) => {
  const world = await startWorld(t);
  world.upstream.on("/short", ({ response }) => {
    const range = `bytes 0-${SLICE_BYTES - 1}/${SLICE_BYTES * 2}`;
    response.writeHead(206, { "cache-control": FRESH, etag: '"a"', "content-range": range, "content-length": 100 });
    response.end(Buffer.alloc(100));
  });
  for (const turn of [1, 2]) {
    const arriving = await world.open("/short", { headers: { range: "bytes=0-999" } });
    await t.rejects(arriving.whole(), `answer ${turn}`);
    t.notOk(isHit(arriving), `answer ${turn}`);
  }
});

t.test("an error for a part leaves the good parts", async (t) => {
  const world = await startWorld(t);
  const body = Buffer.alloc(SLICE_BYTES * 2, "x");
  const moved = { bytes: 0 };
  const good = rangesOf({ body, fields: { "cache-control": FRESH, etag: '"a"' }, moved });
  let isFailing = false;
  world.upstream.on("/parts", (exchange) => {
    if (isFailing) exchange.response.writeHead(503, { "cache-control": FRESH }).end();
    else return good(exchange);
  });
  await world.prime("/parts", { headers: { range: "bytes=0-9" } });
  isFailing = true;
  t.equal((await world.ask("/parts", { headers: { range: `bytes=${SLICE_BYTES}-` } })).status, 503);
  const answer = await world.ask("/parts", { headers: { range: "bytes=0-9" } });
  t.ok(answer.status === 206 && isHit(answer));
});

t.test("what a POST brought for later GETs is gone after a DELETE, also while it still arrives", async (t) => {
  const world = await startWorld(t);
  const release = Promise.withResolvers<void>();
  world.upstream.on("/thing", async (exchange) => {
    const { request, response } = exchange;
    if (request.method === "POST") {
      response.writeHead(200, { "cache-control": FRESH, "content-location": "/thing" }).write("old ");
      await release.promise;
      return void response.end("answer");
    }
    if (request.method === "DELETE") return void response.writeHead(204).end();
    return say("new", { "cache-control": FRESH })(exchange);
  });
  const posted = await world.open("/thing", { method: "POST", body: "x" });
  await posted.first();
  t.equal((await world.ask("/thing", { method: "DELETE" })).status, 204);
  release.resolve();
  await posted.whole();
  await world.settle();
  t.equal((await world.ask("/thing")).text, "new");
});

t.test("bad pages do not close the good ones", async (t) => {
  const world = await startWorld(t);
  for (const index of times(40, (number) => number))
    world.upstream.on(`/bad?${index}`, ({ request }) => void request.socket.destroy());
  world.upstream.on("/good", say("good", { "cache-control": "no-store" }));
  for (const index of times(40, (number) => number)) await world.ask(`/bad?${index}`);
  const isGood = ({ text }: Answer) => text === "good";
  await t.resolves(untilSo("it is asked", () => world.ask("/good"), isGood));
});

t.test("an answer of a target that breaks off for its leader alone comes for those who waited", async (t) => {
  const world = await startWorld(t);
  const waiting = Promise.withResolvers<void>();
  world.upstream.on("/picky", async (exchange) => {
    const { request } = exchange;
    if (request.headers["x-leader"] === undefined) return say("fine", { "cache-control": FRESH })(exchange);
    await waiting.promise;
    return void request.socket.destroy();
  });
  const leader = world.begin("/picky", { headers: { "x-leader": "1" } });
  while (world.upstream.received("/picky").length === 0) await new Promise((resolve) => setImmediate(resolve));
  const followers = times(3, () => world.ask("/picky"));
  await world.settle();
  waiting.resolve();
  for (const follower of await Promise.all(followers)) t.equal(follower.text, "fine");
  await leader.answer.catch(() => undefined);
});

t.test("what a HEAD says does not bring back what was made invalid while it was asked", async (t) => {
  const world = await startWorld(t);
  const [asked, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let page = "old";
  world.upstream.on("/slow-head", async (exchange) => {
    const { request, response } = exchange;
    if (request.method === "POST") page = "new";
    if (request.method !== "HEAD")
      return say(page, { "cache-control": "max-age=60", age: page === "old" ? "3600" : "0", etag: `"${page}"` })(
        exchange,
      );
    asked.resolve();
    await release.promise;
    response.writeHead(200, { "cache-control": FRESH, etag: '"old"', "content-length": 3 }).end();
  });
  await world.prime("/slow-head");
  const head = world.ask("/slow-head", { method: "HEAD" });
  await asked.promise;
  await world.ask("/slow-head", { method: "POST", body: "x" });
  release.resolve();
  await head;
  t.equal((await world.ask("/slow-head")).text, "new");
});
