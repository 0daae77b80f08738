import t from "tap";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { say } from "./upstream.ts";
import type { Answer } from "./user-agent.ts";
import { startWorld, times } from "./world.ts";

/** Thirty that are cut off, each asked twice, and a few probes: not two hundred. */
const ATTEMPTS_MAX = 80;

t.test(
  "a GET whose reused connection dies before the first byte is asked once more, a POST is not (RFC 9110 section 9.2.2)",
  async (t) => {
    const world = await startWorld(t);
    world.upstream.on("/warm", say("warm", { "cache-control": "no-store" }));
    for (const method of ["GET", "POST"]) {
      const target = `/dying/${method}`;
      world.upstream.on(target, (exchange) => {
        if (exchange.turn === 1) return void exchange.request.socket.destroy();
        return say("alive", { "cache-control": "no-store" })(exchange);
      });
      await world.ask("/warm");
      const answer = await world.ask(target, { method, ...(method === "POST" ? { body: "once" } : {}) });
      const asked = world.upstream.received(target).length;
      if (method === "GET") t.same([answer.status, answer.text, asked], [200, "alive", 2], method);
      else t.same([answer.status, asked], [502, 1], method);
    }
  },
);

t.test("after the first byte nothing is asked again: the answer is cut", async (t) => {
  const world = await startWorld(t);
  world.upstream.on("/cut", ({ response }) => {
    response.writeHead(200, { "content-length": 100 }).write("some", () => response.destroy());
  });
  await t.rejects(world.ask("/cut"));
  t.equal(world.upstream.received("/cut").length, 1);
});

t.test("a dead upstream is probed, not hammered, and asked again once it lives", async (t) => {
  const world = await startWorld(t);
  const targets = times(200, (index) => `/dead/${index}`);
  for (const target of targets) world.upstream.on(target, ({ request }) => void request.socket.destroy());
  const before = world.upstream.connections;
  for (const target of targets) {
    const { status, headers } = await world.ask(target);
    t.ok(status === 502 || status === 503 || status === 504, `${target}: ${status}`);
    t.match(headers["proxy-status"], /Perigee; ?error=/, target);
  }
  const attempts = world.upstream.connections - before;
  t.ok(attempts <= ATTEMPTS_MAX, `${attempts} connections for 200 requests`);
  world.upstream.on("/dead/0", say("alive", { "cache-control": "no-store" }));
  const isAlive = ({ text }: Answer) => text === "alive";
  await t.resolves(
    untilSo("it is asked again", () => world.ask("/dead/0"), isAlive),
    "asked again once it lives",
  );
});
