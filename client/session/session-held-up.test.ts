/** Links that fall silent and come again, or come when nobody wants them any more, on a virtual clock. Invariants by number: SPEC.md. */
import t, { type Test } from "tap";
import { SILENCE_MS_MIN } from "../media/silence.ts";
import { PROMOTION_INTERVAL_MS } from "./running.ts";
import { SessionWorld } from "./session-world.test.ts";

async function start(t: Test, world: SessionWorld) {
  const over = world.start();
  await world.clock.advance(2000);
  t.equal(world.view.phase, "running");
  const [link] = world.links;
  if (link === undefined) throw new Error("a session that runs has a link");
  return {
    link,
    async leave(): Promise<void> {
      world.leave();
      await world.clock.advance(60_000);
      await over;
      t.equal(world.links.size, 0, "no link is left open");
      t.equal(world.clock.pendingTimers, 0, "nothing waits any more");
    },
  };
}

t.test("SPEC 8: media that were held up come again before others do: the session goes on by them", async (t) => {
  const world = new SessionWorld(["near", "far"], 1);
  const { link, leave } = await start(t, world);
  // The edge is gone, as where its start takes what the session needs, and the way elsewhere takes its time.
  world.killEdge("http://near");
  world.agent("far-1").setUpMs = 1_000;
  void world.stall([link], SILENCE_MS_MIN + 400);
  await world.clock.advance(SILENCE_MS_MIN + 300);
  t.equal(world.view.phase, "connecting", "to far, by then");
  await world.clock.advance(200);
  t.equal(world.view.phase, "running");
  t.match(world.view.facts, { problem: undefined, lostAtMs: undefined, interruption: undefined });
  t.equal(world.view.facts.grant?.connected.agent, "near-1");
  await world.clock.advance(10_000);
  t.equal(world.view.phase, "running");
  t.same([...world.links], [link], "what came up meanwhile is closed");
  t.equal(world.callsOf("connect placement").length, 2);
  await leave();
});

t.test("SPEC 2: media that come again after others did are closed already", async (t) => {
  const world = new SessionWorld(["near", "far"], 2);
  const { link, leave } = await start(t, world);
  void world.stall([link], 5_000);
  await world.clock.advance(4_000);
  t.equal(link.isOpen, false);
  t.equal(world.callsOf("connect resume").length, 1);
  await world.clock.advance(4_000);
  t.equal(world.links.size, 1);
  t.equal(world.view.phase, "running");
  await leave();
});

for (const isPromoted of [false, true]) {
  const what = isPromoted ? "promotion" : "first";
  t.test(`SPEC 2: a person leaves just when the link of a ${what} placement opens: it is closed`, async (t) => {
    const world = new SessionWorld(["far", "near"], 1);
    const over = world.start();
    const leaveOnOpen = (): void => {
      world.onOpened = () => world.leave();
    };
    if (!isPromoted) leaveOnOpen();
    await world.clock.advance(2000);
    if (isPromoted) {
      t.equal(world.view.phase, "running");
      world.promotion = "near";
      leaveOnOpen();
      await world.clock.advance(PROMOTION_INTERVAL_MS + 2000);
      t.equal(world.callsOf("connect placement").length, 2);
    }
    await world.clock.advance(10_000);
    await over;
    t.equal(world.view.phase, "ended");
    t.equal(world.links.size, 0, "no link is left open");
  });
}
