/** The life of a session, every way through it, on a virtual clock. Invariants by number: SPEC.md. */
import t, { type Test } from "tap";
import { ClientFailure } from "../failure.ts";
import { SILENCE_MS_MIN, SUSPECT_SILENCE_MS_MAX } from "../media/silence.ts";
import { COMING_UP_PARTS, type ComingUp } from "./coming-up.ts";
import { RECOVERY_MS_MAX } from "./deadlines.ts";
import { PROMOTION_INTERVAL_MS, TICKET_INTERVAL_MS } from "./running.ts";
import { type Health, SessionWorld } from "./session-world.test.ts";

/** Starts a session, does what the test does, and leaves it: nothing of it must be left. */
function scenario(name: string, world: SessionWorld, run: (t: Test, world: SessionWorld) => Promise<void>): void {
  t.test(name, async (t) => {
    const over = world.start();
    await world.clock.advance(0);
    await run(t, world);
    world.leave();
    await world.clock.advance(60_000);
    await over;
    t.equal(world.links.size, 0, "no link is left open");
    t.equal(world.view.phase, "ended");
  });
}

function worldWith(
  given: Partial<Pick<SessionWorld, "scheduler" | "queueSeconds" | "refusal" | "edgeRefusal" | "mediaLastMs">>,
): SessionWorld {
  return Object.assign(new SessionWorld(), given);
}

/** The same, from when it runs. */
function running(name: string, world: SessionWorld, run: (t: Test, world: SessionWorld) => Promise<void>): void {
  scenario(name, world, async (t, begun) => {
    await begun.clock.advance(2000);
    t.equal(begun.view.phase, "running");
    await run(t, begun);
  });
}

const sumOf = (comingUp: ComingUp | undefined) =>
  COMING_UP_PARTS.reduce((sum, part) => sum + (comingUp?.[part] ?? Number.NaN), 0);

const agentOf = (world: SessionWorld) => world.view.facts.grant?.connected.agent;

running("a session is created, probed, placed, connected and runs", new SessionWorld(), async (t, world) => {
  t.same(world.phases, ["creating", "probing", "placing", "connecting", "running"]);
  t.match(world.callsOf("connect placement")[0]?.detail, { url: "http://near", placement: "placement-1" });
  t.equal(agentOf(world), "near-1");
});

const RELAY = { urls: ["turn:relay.example"], username: "1:s", credential: "c" };

running(
  "every offer is made with the servers of the newest placement, also where an edge is asked without a scheduler",
  Object.assign(new SessionWorld(), { handsOut: [RELAY] }),
  async (t, world) => {
    t.same(world.offeredWith, [[RELAY]]);
    world.scheduler = "silent";
    world.kill(world.agent("near-1"));
    await world.clock.advance(RECOVERY_MS_MAX);
    t.equal(agentOf(world), "near-2", "by its ticket");
    world.kill(world.agent("near-2"));
    await world.clock.advance(4 * RECOVERY_MS_MAX);
    t.equal(world.view.phase, "running");
    t.ok(world.callsOf("connect appToken").length > 0, "by the app token");
    world.kill(world.agent(agentOf(world) ?? ""));
    await world.clock.advance(4 * RECOVERY_MS_MAX);
    t.ok(world.offeredWith.length > 3);
    for (const servers of world.offeredWith) t.same(servers, [RELAY]);
  },
);

running(
  "SPEC 3: an agent dies and another of its pool gives frames within three seconds, without the scheduler",
  new SessionWorld(),
  async (t, world) => {
    world.scheduler = "silent";
    world.kill(world.agent("near-1"));
    await world.clock.advance(RECOVERY_MS_MAX);
    t.equal(world.view.phase, "running");
    t.equal(agentOf(world), "near-2");
    t.match(world.callsOf("connect resume")[0]?.detail, { resume: "ticket-1" });
  },
);

running(
  "what coming up took is told part by part, and the parts are the whole",
  new SessionWorld(["near", "far"], 1),
  async (t, world) => {
    const { comingUp: created } = world.view.facts;
    const ranAtMs = world.clock.monotonicMs() - 2000 + sumOf(created);
    t.match(created, { because: "created", noticed: 0, offer: 0, lease: 20, picture: 120 });
    t.ok(world.view.facts.runningSinceMs === ranAtMs, "from the wish on");
    const diedAtMs = world.clock.monotonicMs();
    world.kill(world.agent("near-1"));
    await world.clock.advance(RECOVERY_MS_MAX);
    const { comingUp, runningSinceMs = 0 } = world.view.facts;
    t.match(comingUp, { because: "lost", placed: 40, lease: 20, picture: 120 });
    t.equal(runningSinceMs - diedAtMs, sumOf(comingUp));
  },
);

for (const [areWatched, lostMs] of [
  [true, SUSPECT_SILENCE_MS_MAX],
  [false, SILENCE_MS_MIN],
] as const) {
  running(
    `SPEC 3: within a second, ${areWatched ? "by its edge's word" : "by silence alone"}`,
    Object.assign(new SessionWorld(), { areWatched }),
    async (t, world) => {
      const diedAtMs = world.clock.monotonicMs();
      world.kill(world.agent("near-1"));
      await world.clock.advance(1000);
      t.equal(world.view.phase, "running");
      t.equal(agentOf(world), "near-2");
      const [resumed] = world.callsOf("connect resume");
      const noticedMs = (resumed?.atMs ?? 0) - diedAtMs;
      t.ok(noticedMs >= lostMs && noticedMs <= lostMs + 50, `${noticedMs} ms`);
    },
  );
}

running(
  "an edge that calls a session lost whose frames come is not believed, and not asked at once again",
  Object.assign(new SessionWorld(), { falseAlarms: 3 }),
  async (t, world) => {
    await world.clock.advance(20_000);
    t.equal(world.falseAlarms, 0);
    t.equal(world.callsOf("connect resume").length, 0);
    t.equal(agentOf(world), "near-1");
  },
);

running(
  "SPEC 3: a pool without another agent: the scheduler places elsewhere, within three seconds",
  new SessionWorld(["near", "far"], 1),
  async (t, world) => {
    world.kill(world.agent("near-1"));
    await world.clock.advance(RECOVERY_MS_MAX);
    t.equal(world.view.phase, "running");
    t.equal(agentOf(world), "far-1");
    const [renewal] = world.callsOf("renew pool-lost");
    t.match(renewal?.detail, { placement: "placement-1", results: [{ answer: "near-edge" }, { answer: "far-edge" }] });
  },
);

running(
  "SPEC 3: an agent that takes its time is waited for, while its edge lives",
  new SessionWorld(),
  async (t, world) => {
    world.agent("near-2").setUpMs = 1800;
    world.kill(world.agent("near-1"));
    await world.clock.advance(RECOVERY_MS_MAX);
    t.equal(world.view.phase, "running");
    t.equal(agentOf(world), "near-2");
    t.equal(world.callsOf("renew pool-lost").length, 0);
  },
);

running(
  "SPEC 3: a whole pool falls silent, edge and agents: elsewhere within three seconds",
  new SessionWorld(),
  async (t, world) => {
    const [near] = world.edges;
    if (near !== undefined) near.health = "silent";
    for (const agent of world.agents) if (agent.pool === "near") world.kill(agent);
    await world.clock.advance(RECOVERY_MS_MAX);
    t.equal(world.view.phase, "running");
    t.equal(agentOf(world), "far-1");
  },
);

scenario(
  "an edge that refuses makes the client renew with that reason",
  new SessionWorld(["near", "far"], 1),
  async (t, world) => {
    await world.clock.advance(60);
    world.agent("near-1").isAlive = false;
    await world.clock.advance(2000);
    t.equal(world.view.phase, "running");
    t.equal(world.callsOf("renew refused").length + world.callsOf("renew pool-lost").length, 1);
  },
);

for (const health of ["silent", "gone"] satisfies Health[]) {
  scenario(
    `the scheduler is ${health} from the start: the edge that served the page is asked directly`,
    worldWith({ scheduler: health }),
    async (t, world) => {
      await world.clock.advance(6000);
      t.equal(world.view.phase, "running");
      t.match(world.callsOf("connect appToken")[0]?.detail, { url: "http://far", appToken: "app-token" });
    },
  );
}

running(
  "pool and scheduler are lost: the nearest edge that was probed is asked directly",
  new SessionWorld(["near", "far"], 1),
  async (t, world) => {
    world.scheduler = "gone";
    world.kill(world.agent("near-1"));
    await world.clock.advance(5000);
    t.equal(world.view.phase, "running");
    t.equal(agentOf(world), "far-1");
    t.equal(world.callsOf("connect appToken").length, 2);
    const { placement } = world.view.facts;
    t.match(placement, { pool: "far", edges: ["http://far"] }, "a placement that is no longer in force is not shown");
    t.equal(placement?.decision, undefined);
  },
);

scenario(
  "the scheduler swallows what is sent: it is not waited for where the page's edge has lost the cloud too",
  Object.assign(new SessionWorld(), { scheduler: "silent" as const, isCutOff: true }),
  async (t, world) => {
    await world.clock.advance(1500);
    t.equal(world.view.phase, "running");
    t.equal(agentOf(world), "far-1");
  },
);

scenario(
  "a scheduler that is slow is waited for while the page's edge has its link",
  worldWith({ scheduler: "silent" }),
  async (t, world) => {
    await world.clock.advance(4900);
    t.equal(world.view.phase, "creating");
    await world.clock.advance(1000);
    t.equal(world.view.phase, "running");
  },
);

scenario(
  "nobody knows another edge than the page's, whose pool has no slot: the edges that it names are asked",
  Object.assign(new SessionWorld(["near", "far"], 1), { scheduler: "gone" as const, isCutOff: true }),
  async (t, world) => {
    world.agent("far-1").isAlive = false;
    await world.clock.advance(2000);
    t.equal(world.view.phase, "running");
    t.equal(agentOf(world), "near-1");
    const asked = world.callsOf("connect appToken").map(({ detail }) => detail);
    t.match(asked, [{ url: "http://far" }, { url: "http://near" }]);
  },
);

scenario(
  "SPEC 6: a scheduler that comes back is shown what the edge placed, and takes the session over",
  worldWith({ scheduler: "gone" }),
  async (t, world) => {
    await world.clock.advance(2000);
    t.equal(agentOf(world), "far-1");
    const direct = world.view.facts.placement?.placement;
    t.match(direct, /\.direct$/);
    await world.clock.advance(PROMOTION_INTERVAL_MS);
    t.match(world.callsOf("renew promotion").at(-1)?.detail, { placement: direct });
    t.equal(world.view.phase, "running", "one that is silent costs nothing");
    world.scheduler = "up";
    world.promotion = "near";
    await world.clock.advance(PROMOTION_INTERVAL_MS + 1000);
    t.match(world.callsOf("renew promotion").at(-1)?.detail, { placement: direct });
    t.equal(agentOf(world), "near-1", "moved without a gap, to where it should be");
    t.match(world.view.facts, { placement: { decision: "d", pool: "near" }, session: "session-1" });
  },
);

scenario(
  "SPEC 6: a session that an edge placed and that loses its pool goes on by the scheduler that is back",
  Object.assign(new SessionWorld(["near", "far"], 1), { scheduler: "gone" as const }),
  async (t, world) => {
    await world.clock.advance(2000);
    t.equal(agentOf(world), "far-1");
    const direct = world.view.facts.placement?.placement;
    Object.assign(world, { scheduler: "up" });
    world.kill(world.agent("far-1"));
    await world.clock.advance(RECOVERY_MS_MAX);
    t.equal(agentOf(world), "near-1");
    t.match(world.callsOf("renew pool-lost")[0]?.detail, { placement: direct });
    t.equal(world.callsOf("create").length, 1, "it is the same session");
  },
);

scenario(
  "queued: it waits as long as it is told and asks again, then from the start when its probes are too old",
  worldWith({ queueSeconds: 3 }),
  async (t, world) => {
    await world.clock.advance(1000);
    t.match(world.view, { phase: "queued", facts: { bestAchievableMs: 41 } });
    await world.clock.advance(40_000);
    t.equal(world.callsOf("create").length, 2);
    t.ok(world.callsOf("place").length > 8);
    world.queueSeconds = undefined;
    await world.clock.advance(4000);
    t.equal(world.view.phase, "running");
  },
);

scenario(
  "SPEC 5: what would be refused again is not tried again until a person asks",
  worldWith({ refusal: new ClientFailure("token-expired", "the app token has expired") }),
  async (t, world) => {
    await world.clock.advance(60_000);
    t.match(world.view, { phase: "failed", facts: { problem: { code: "token-expired" } } });
    t.equal(world.callsOf("create").length, 1);
    world.refusal = undefined;
    world.askRetry();
    await world.clock.advance(2000);
    t.equal(world.view.phase, "running");
  },
);

scenario(
  "SPEC 5: where this browser can show nothing that is sent, no other place is asked for",
  worldWith({ edgeRefusal: new ClientFailure("browser-unfit", "no H.264, and the agent sends no JPEG instead") }),
  async (t, world) => {
    await world.clock.advance(60_000);
    t.match(world.view, { phase: "failed", facts: { problem: { code: "browser-unfit" } } });
    t.equal(world.callsOf("renew").length, 0);
  },
);

scenario(
  "SPEC 4: a scheduler that has no place is asked ever more seldom",
  worldWith({ refusal: new ClientFailure("no-pool-fits", "no pool fits") }),
  async (t, world) => {
    await world.clock.advance(120_000);
    const atMs = world.callsOf("create").map((call) => call.atMs);
    t.ok(atMs.length >= 8 && atMs.length <= 16, `${atMs.length} tries in two minutes`);
    world.askRetry();
    await world.clock.advance(100);
    t.equal(world.callsOf("create").length, atMs.length + 1, "a person who asks does not wait");
  },
);

const refusing = worldWith({ edgeRefusal: new ClientFailure("placement-refused", "no agent takes it") });
scenario("SPEC 4: edges that refuse every placement lead to waiting, not to a loop", refusing, async (t, world) => {
  await world.clock.advance(60_000);
  t.ok(world.phases.includes("waiting"), world.phases.join(" "));
  t.ok(world.calls.length <= 100, `${world.calls.length} calls in a minute`);
  const given = world.callsOf("end").length;
  t.ok(given >= world.callsOf("create").length - 1, `${given} sessions given up hold no slot`);
});

const flapping = worldWith({ mediaLastMs: 50 });
scenario(
  "SPEC 4: media that break at once, again and again, lead to waiting, not to a loop",
  flapping,
  async (t, world) => {
    await world.clock.advance(60_000);
    t.ok(world.phases.includes("waiting"), world.phases.join(" "));
    t.ok(world.calls.length <= 200, `${world.calls.length} calls in a minute`);
  },
);

scenario(
  "media that do not come up over UDP come up over a WebSocket at the same edge",
  new SessionWorld(),
  async (t, world) => {
    world.blocked.add("webrtc");
    await world.clock.advance(8000);
    t.equal(world.view.phase, "running");
    t.equal(world.view.facts.grant?.transport, "websocket");
    t.equal(agentOf(world), "near-1");
  },
);

running(
  "a promotion changes the place without a gap, and the old one is closed",
  new SessionWorld(["far", "near"]),
  async (t, world) => {
    world.handsOut = [RELAY];
    world.promotion = "near";
    await world.clock.advance(PROMOTION_INTERVAL_MS + 1000);
    t.equal(agentOf(world), "near-1");
    t.equal(world.links.size, 1);
    t.notOk(world.phases.includes("resuming"));
    t.same(world.offeredWith.at(-1), world.handsOut, "with the servers of the new placement");
    world.promotion = undefined;
    await world.clock.advance(PROMOTION_INTERVAL_MS * 3);
    t.equal(world.view.phase, "running");
  },
);

running(
  "a move that has to wait its turn leaves the session where it runs, and is asked for when it was told to",
  new SessionWorld(["far", "near"]),
  async (t, world) => {
    Object.assign(world, { promotion: "near", queueSeconds: 2 });
    await world.clock.advance(PROMOTION_INTERVAL_MS + 1000);
    t.match(world.view, { phase: "running", facts: { placement: { pool: "far" } } });
    world.queueSeconds = undefined;
    await world.clock.advance(2000);
    const [first, second] = world.callsOf("renew promotion").map(({ atMs }) => atMs);
    const waitedMs = (second ?? 0) - (first ?? 0);
    t.ok(waitedMs >= 2000 && waitedMs < 3000, `${waitedMs} ms`);
    t.equal(agentOf(world), "near-1");
    t.notOk(world.phases.includes("requeued"));
  },
);

running(
  "a promotion that does not come up leaves the session where it runs",
  new SessionWorld(["far", "near"]),
  async (t, world) => {
    for (const agent of world.agents) if (agent.pool === "near") agent.isAlive = false;
    world.promotion = "near";
    await world.clock.advance(PROMOTION_INTERVAL_MS * 2);
    t.equal(agentOf(world), "far-1");
    t.same(world.phases.at(-1), "running");
  },
);

running(
  "the ticket is renewed before it expires, and the newest one is shown",
  new SessionWorld(),
  async (t, world) => {
    await world.clock.advance(TICKET_INTERVAL_MS * 2 + 1000);
    t.equal(world.callsOf("ticket").length, 2);
    world.kill(world.agent("near-1"));
    await world.clock.advance(RECOVERY_MS_MAX);
    t.match(world.callsOf("connect resume")[0]?.detail, { resume: "ticket-3" });
  },
);

running(
  "SPEC 7: an edge is killed: pictures go on, and another of its pool is spoken to at once",
  new SessionWorld(["near", "far"], 2, 2),
  async (t, world) => {
    const { grant, resumeTicket } = world.view.facts;
    const killedAtMs = world.clock.monotonicMs();
    world.killEdge("http://near");
    await world.clock.advance(1000);
    t.equal(world.view.phase, "running");
    t.match(world.callsOf("ticket"), [{ atMs: killedAtMs, detail: { url: "http://near-2", shown: resumeTicket } }]);
    t.match(world.view.facts, { grant: { edge: "http://near-2", link: grant?.link }, resumeTicket: "ticket-2" });
    t.same(world.watched, ["http://near", "http://near-2"], "which is watched from then on");
    world.kill(world.agent("near-1"));
    await world.clock.advance(1000);
    t.equal(agentOf(world), "near-2");
    t.match(world.callsOf("connect resume"), [{ detail: { url: "http://near-2", resume: "ticket-2" } }]);
  },
);

running(
  "SPEC 7: the only edge of a pool is killed: it is told of the session when it is back",
  new SessionWorld(),
  async (t, world) => {
    world.killEdge("http://near");
    await world.clock.advance(20_000);
    t.equal(world.view.phase, "running");
    t.equal(agentOf(world), "near-1");
    t.ok(world.watched.length <= 6, `${world.watched.length} watches of who is not there`);
    Object.assign(world.edges[0] ?? {}, { health: "up" });
    await world.clock.advance(10_000);
    t.match(world.callsOf("ticket").at(-1)?.detail, { url: "http://near", shown: "ticket-1" });
    const { resumeTicket } = world.view.facts;
    world.kill(world.agent("near-1"));
    await world.clock.advance(RECOVERY_MS_MAX);
    t.equal(agentOf(world), "near-2");
    t.match(world.callsOf("connect resume"), [{ detail: { url: "http://near", resume: resumeTicket } }]);
  },
);

t.test("leaving tells the scheduler and the edge, in every phase", async (t) => {
  for (const afterMs of [0, 10, 30, 50, 70, 200, 1000]) {
    const world = new SessionWorld();
    const over = world.start();
    await world.clock.advance(afterMs);
    world.leave();
    await world.clock.advance(10_000);
    await over;
    t.equal(world.view.phase, "ended", `left after ${afterMs} ms`);
    t.equal(world.links.size, 0, `left after ${afterMs} ms`);
    t.equal(world.callsOf("end").length, world.view.facts.session === undefined ? 0 : 1, `left after ${afterMs} ms`);
  }
});
