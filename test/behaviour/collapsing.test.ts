import { performance } from "node:perf_hooks";
import t from "tap";
import { until } from "#test/simulation/until.ts";
import { Barrier } from "./barrier.ts";
import { holdBody, say } from "./upstream.ts";
import type { Answer, Arriving } from "./user-agent.ts";
import { isHit, staleFields, startWorld, times } from "./world.ts";

const AT_ONCE = 30;
/** Long enough that the processor's share of it does not count. */
const SLOW_BODY_MS = 2_000;
const SLOW_RATIO_MAX = 1.3;
const HALF = "0123456789".repeat(400);

async function countWhole(answers: readonly Arriving[]): Promise<number> {
  const bodies = await Promise.all(answers.map((answer) => answer.whole()));
  return bodies.filter((body) => body.toString() === HALF + HALF).length;
}

const world = await startWorld(t);
const { upstream } = world;

t.test(
  "30 cold requests at once are one upstream request, and each has its first bytes before the last are there",
  async (t) => {
    const held = Promise.withResolvers<void>();
    upstream.on("/cold", async ({ response }) => {
      response.writeHead(200, { "cache-control": "max-age=60" }).write(HALF);
      await held.promise;
      response.end(HALF);
    });
    const answers = await Promise.all(times(AT_ONCE, () => world.open("/cold")));
    await Promise.all(answers.map((answer) => answer.first()));
    held.resolve();
    t.equal(await countWhole(answers), AT_ONCE);
    t.equal(upstream.received("/cold").length, 1);
  },
);

for (const [name, fields] of Object.entries({
  "no-store": { "cache-control": "no-store" },
  private: { "cache-control": "private, max-age=60" },
  "with a cookie": { "cache-control": "max-age=60", "set-cookie": "a=b" },
})) {
  t.test(
    `30 requests at once for what is ${name} go side by side, at first and again, and each gets its own`,
    async (t) => {
      const target = `/uncacheable/${name.replaceAll(" ", "-")}`;
      let bodies = new Barrier(AT_ONCE);
      let heads = new Barrier(0);
      upstream.on(target, async ({ response, turn }) => {
        await heads.arrive();
        response.writeHead(200, fields).write(`${turn}:`);
        await bodies.arrive();
        response.end("end");
      });
      const burst = async () => {
        const answers = await Promise.all(times(AT_ONCE, () => world.ask(target)));
        return new Set(answers.filter(({ status }) => status === 200).map(({ text }) => text)).size;
      };
      t.equal(await burst(), AT_ONCE, "none waits for another's body");
      heads = new Barrier(AT_ONCE);
      bodies = new Barrier(AT_ONCE);
      t.equal(await burst(), AT_ONCE, "again, none waits for another's head");
      t.equal(upstream.received(target).length, 2 * AT_ONCE);
    },
  );
}

t.test("30 requests at once for what may not be stored take no longer than one, and again", async (t) => {
  for (const target of ["/slow/one", "/slow/all"]) upstream.on(target, holdBody(SLOW_BODY_MS, "no-store"));
  const took = async (asking: () => Promise<unknown>) => {
    const sinceMs = performance.now();
    await asking();
    return performance.now() - sinceMs;
  };
  const burst = () => Promise.all(times(AT_ONCE, () => world.ask("/slow/all")));
  const oneMs = await took(() => world.ask("/slow/one"));
  const [firstMs, secondMs] = [await took(burst), await took(burst)];
  t.comment(`one ${Math.round(oneMs)} ms, 30 at once ${Math.round(firstMs)} ms, again ${Math.round(secondMs)} ms`);
  t.ok(firstMs <= SLOW_RATIO_MAX * oneMs, "at first");
  t.ok(secondMs <= SLOW_RATIO_MAX * oneMs, "again");
});

t.test(
  "what is stale and may be revalidated behind is answered at once to all 30, with one refresh (RFC 5861 section 3)",
  async (t) => {
    const held = Promise.withResolvers<void>();
    upstream.on("/swr", async ({ request, response, turn }) => {
      if (turn === 1)
        return await say(
          "old",
          staleFields("stale-while-revalidate=86400"),
        )({ request, response, turn, turnOfConnection: 1 });
      await held.promise;
      response.writeHead(200, { "cache-control": "max-age=60" }).end("new");
    });
    await world.prime("/swr");
    const answers = await Promise.all(times(AT_ONCE, () => world.ask("/swr")));
    t.same(new Set(answers.map(({ text }) => text)), new Set(["old"]));
    await until(() => upstream.received("/swr").length > 1, "the refresh reaches the upstream");
    held.resolve();
    let latest: Answer = await world.ask("/swr");
    for (let turn = 0; turn < 500 && latest.text !== "new"; turn += 1) latest = await world.ask("/swr");
    t.equal(latest.text, "new", "the refresh is what is served from then on");
    t.ok(isHit(await world.ask("/swr")));
    t.equal(upstream.received("/swr").length, 2, "once stored, once refreshed");
  },
);

t.test("when the one that fetches leaves, the others get the whole, and the upstream is asked once", async (t) => {
  const held = Promise.withResolvers<void>();
  upstream.on("/left", async ({ response }) => {
    response.writeHead(200, { "cache-control": "max-age=60" }).write(HALF);
    await held.promise;
    response.end(HALF);
  });
  const leader = await world.open("/left");
  await leader.first();
  const followers = await Promise.all(times(10, () => world.open("/left")));
  await Promise.all(followers.map((follower) => follower.first()));
  leader.abort();
  // The edge has seen the end of the leader's connection once it has answered what came after it.
  await world.settle();
  held.resolve();
  t.equal(await countWhole(followers), 10);
  t.equal(upstream.received("/left").length, 1);
});

t.test(
  "when the one that fetches leaves before any head has come, the others are still answered by that request",
  async (t) => {
    const held = Promise.withResolvers<void>();
    upstream.on("/left-early", async ({ response }) => {
      await held.promise;
      response.writeHead(200, { "cache-control": "max-age=60" }).end("whole");
    });
    const leader = world.begin("/left-early");
    await until(() => upstream.received("/left-early").length === 1, "the upstream is asked");
    const followers = times(10, () => world.ask("/left-early"));
    await world.settle();
    leader.abort();
    await world.settle();
    held.resolve();
    for (const { status, text } of await Promise.all(followers)) t.same([status, text], [200, "whole"]);
    t.equal(upstream.received("/left-early").length, 1);
  },
);

for (const [name, fields] of Object.entries({
  "is shorter than its Content-Length": { "content-length": "10000" },
  "has no last chunk": { "transfer-encoding": "chunked" },
})) {
  t.test(`a body that ${name} is stored for nobody and complete for nobody (RFC 9112 section 8)`, async (t) => {
    const target = `/truncated/${Object.keys(fields)[0]}`;
    const held = Promise.withResolvers<void>();
    upstream.on(target, async ({ response, turn }) => {
      response.writeHead(200, { "cache-control": "max-age=60", ...fields });
      response.write(`half ${turn}`);
      if (turn === 1) await held.promise;
      response.socket?.end();
    });
    const answers = await Promise.all(times(5, () => world.open(target)));
    await Promise.all(answers.map((answer) => answer.first()));
    held.resolve();
    const ends = await Promise.allSettled(answers.map((answer) => answer.whole()));
    t.same(
      ends.map(({ status }) => status),
      times(5, () => "rejected"),
      "each is cut",
    );
    await world.settle();
    await t.rejects(world.ask(target), "and so is a later one");
    t.equal(upstream.received(target).length, 2, "which is fetched anew");
  });
}
