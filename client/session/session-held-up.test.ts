/** Links that fall silent and come again, or come when nobody wants them any more, on a virtual clock. Invariants by number: SPEC.md. */
import t, { type Test } from "tap";
import { ClientFailure } from "../failure.ts";
import { SILENCE_MS_MIN } from "../media/silence.ts";
import { PROMOTION_INTERVAL_MS, TICKET_INTERVAL_MS } from "./running.ts";
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

const noRoom = new ClientFailure("no-pool-fits", "no pool has a free slot");
/** By then resume and renewal were refused; and the first pause is not over. */
const REFUSED_MS = SILENCE_MS_MIN + 100;
const FIRST_PAUSE_MS_MAX = 1_000;

t.test("SPEC 8: there is no room elsewhere: pictures that return in the pause bring the session back", async (t) => {
  const world = new SessionWorld();
  const { link, leave } = await start(t, world);
  Object.assign(world, { refusal: noRoom, edgeRefusal: noRoom });
  void world.stall([link], REFUSED_MS + 200);
  await world.clock.advance(REFUSED_MS);
  t.match(world.view, { phase: "waiting", facts: { session: "session-1", problem: { code: "no-pool-fits" } } });
  t.ok(link.isOpen, "its slot is its own until another session is asked for");
  await world.clock.advance(200);
  t.match(world.view, { phase: "running", facts: { session: "session-1", failures: 0 } });
  const nothing = { problem: undefined, lostAtMs: undefined, interruption: undefined, retryAtMs: undefined };
  t.match(world.view.facts, nothing);
  await world.clock.advance(10_000);
  t.equal(world.view.phase, "running");
  t.same([...world.links], [link]);
  t.equal(world.callsOf("create").length, 1);
  t.equal(world.callsOf("end").length, 0);
  await leave();
});

t.test(
  "SPEC 2: pictures do not return in the pause: the slot is given back, then another session begins",
  async (t) => {
    const world = new SessionWorld();
    const { link, leave } = await start(t, world);
    Object.assign(world, { refusal: noRoom, edgeRefusal: noRoom });
    void world.stall([link], 30_000);
    await world.clock.advance(REFUSED_MS);
    t.equal(world.view.phase, "waiting");
    t.equal(world.callsOf("end").length, 0);
    Object.assign(world, { refusal: undefined, edgeRefusal: undefined });
    await world.clock.advance(FIRST_PAUSE_MS_MAX + 1_000);
    t.match(world.view, { phase: "running", facts: { session: "session-2" } });
    t.equal(link.isOpen, false, "its agent was told");
    t.same(world.openAtCreate, [0, 0], "before another slot was asked for");
    const [ended] = world.callsOf("end");
    t.match(ended?.detail, { session: "session-1", edge: "http://near" });
    t.ok((ended?.atMs ?? Number.NaN) <= (world.callsOf("create")[1]?.atMs ?? 0), "and so was its edge");
    await world.clock.advance(40_000);
    t.equal(world.links.size, 1);
    t.equal(world.callsOf("end").length, 1);
    await leave();
  },
);

for (const [because, refusal, endsLease] of [
  ["the agent has ended the lease", noRoom, true],
  ["a no that stays", new ClientFailure("token-revoked", "the app token was revoked"), false],
] as const) {
  t.test(`SPEC 8: what cannot be used any more is given up at once: ${because}`, async (t) => {
    const world = new SessionWorld();
    const { link, leave } = await start(t, world);
    Object.assign(world, { refusal, edgeRefusal: noRoom });
    if (endsLease) link.lose({ because: "closed", reason: "client-silent" });
    else void world.stall([link], SILENCE_MS_MIN + 300);
    await world.clock.advance(REFUSED_MS);
    t.equal(world.view.phase, "waiting");
    t.equal(link.isOpen, false);
    t.match(world.callsOf("end"), [{ detail: { session: "session-1", edge: "http://near" } }]);
    await leave();
  });
}

for (const [where, setUpMs, refusal] of [
  ["resuming", 2_000, undefined],
  ["waiting", 0, noRoom],
] as const) {
  t.test(`SPEC 8: held up ten times in a row, until it is ${where}, it is one session on one link`, async (t) => {
    const world = new SessionWorld();
    const { link, leave } = await start(t, world);
    Object.assign(world, { refusal, edgeRefusal: refusal });
    world.agent("near-1").setUpMs = setUpMs;
    for (let times = 1; times <= 10; times += 1) {
      void world.stall([link], REFUSED_MS + 200);
      await world.clock.advance(REFUSED_MS + 100);
      t.equal(world.view.phase, where, `for the ${times}th time`);
      await world.clock.advance(200);
      t.equal(world.view.phase, "running", `for the ${times}th time`);
    }
    t.match(world.view.facts, { session: "session-1", quickLosses: 0, failures: 0 });
    t.same([...world.links], [link]);
    t.equal(world.callsOf("create").length, 1);
    t.equal(world.callsOf("connect resume").length, 10, "each time it is tried anew");
    await leave();
  });
}

t.test("SPEC 8: what returned before anybody was asked for another is not asked for another", async (t) => {
  const world = new SessionWorld();
  const { link, leave } = await start(t, world);
  world.falseAlarms = 1;
  while (world.falseAlarms > 0) await world.clock.advance(100);
  // The edge's word is being weighed, which the session waits for.
  link.lose({ because: "silent" });
  await world.clock.advance(0);
  link.comeBack();
  await world.clock.advance(10_000);
  t.equal(world.view.phase, "running");
  t.equal(world.callsOf("connect resume").length, 0);
  await leave();
});

t.test("a session that is held up again and again renews its ticket as others do", async (t) => {
  const world = new SessionWorld();
  const { link, leave } = await start(t, world);
  Object.assign(world, { refusal: noRoom, edgeRefusal: noRoom });
  while (world.clock.monotonicMs() < TICKET_INTERVAL_MS * 2) {
    void world.stall([link], REFUSED_MS + 200);
    await world.clock.advance(10_000);
  }
  t.equal(world.callsOf("connect resume").length, 9);
  t.equal(world.callsOf("ticket").length, 2);
  t.equal(world.view.facts.resumeTicket, "ticket-3");
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
