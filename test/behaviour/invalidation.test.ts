import t from "tap";
import { until } from "#test/simulation/until.ts";
import { say } from "./upstream.ts";
import { isHit, startWorld } from "./world.ts";

const world = await startWorld(t);
const { upstream } = world;

/** Fresh for GET and HEAD, with a status of its own for the rest. */
function serve(target: string, status: number): void {
  upstream.on(target, (exchange) => {
    const { request, response } = exchange;
    if (request.method === "GET" || request.method === "HEAD")
      return say("stored", { "cache-control": "max-age=3600" })(exchange);
    request.resume();
    response.writeHead(status, { "cache-control": "no-store" }).end();
  });
}

for (const method of ["POST", "PUT", "PATCH", "DELETE", "M-SEARCH"]) {
  t.test(`what is stored is not used again after a ${method} that went well (RFC 9111 section 4.4)`, async (t) => {
    for (const status of [200, 204, 303]) {
      const target = `/changed/${method}/${status}`;
      serve(target, status);
      await world.prime(target);
      t.ok(isHit(await world.ask(target)), `${status}: stored`);
      t.equal((await world.ask(target, { method })).status, status);
      t.notOk(isHit(await world.ask(target)), `${status}: asked for again`);
    }
  });

  t.test(`and is after a ${method} that failed`, async (t) => {
    for (const status of [400, 403, 500]) {
      const target = `/unchanged/${method}/${status}`;
      serve(target, status);
      await world.prime(target);
      t.equal((await world.ask(target, { method })).status, status);
      t.ok(isHit(await world.ask(target)), `${status}: still a hit`);
    }
  });
}

t.test("safe methods change nothing", async (t) => {
  for (const method of ["GET", "HEAD", "OPTIONS"]) {
    const target = `/safe/${method}`;
    serve(target, 200);
    await world.prime(target);
    await world.ask(target, { method });
    t.ok(isHit(await world.ask(target)), method);
  }
});

t.test("what was being fetched when a POST came is not stored, since it may be older than the POST", async (t) => {
  const held = Promise.withResolvers<void>();
  upstream.on("/overtaken", async ({ request, response, turn }) => {
    if (request.method === "POST") return void response.writeHead(204).end();
    response.writeHead(200, { "cache-control": "max-age=3600" }).write("old");
    if (turn === 1) await held.promise;
    response.end();
  });
  const slow = await world.open("/overtaken");
  await until(() => upstream.received("/overtaken").length === 1, "the fetch has begun");
  t.equal((await world.ask("/overtaken", { method: "POST" })).status, 204);
  held.resolve();
  t.equal((await slow.whole()).toString(), "old");
  await world.settle();
  t.notOk(isHit(await world.ask("/overtaken")));
});

t.test("what Location and Content-Location of the same origin name is not used again either", async (t) => {
  for (const field of ["location", "content-location"]) {
    const target = `/named-by/${field}`;
    serve(target, 200);
    upstream.on(`${target}/form`, ({ response }) => void response.writeHead(201, { [field]: target }).end());
    await world.prime(target);
    await world.ask(`${target}/form`, { method: "POST" });
    t.notOk(isHit(await world.ask(target)), field);
  }
});
