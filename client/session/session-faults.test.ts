/** Sessions while edges, agents and the scheduler fail in any order, on a virtual clock. Invariants by number: SPEC.md. */
import fc from "fast-check";
import t from "tap";
import { ClientFailure } from "../failure.ts";
import { type Health, SessionWorld } from "./session-world.test.ts";

function setRoom(world: SessionWorld, hasRoom: boolean): void {
  const refusal = hasRoom ? undefined : new ClientFailure("no-pool-fits", "no pool has a free slot");
  Object.assign(world, { refusal, edgeRefusal: refusal });
}

t.test(
  "SPEC 1, 2, 4: whatever fails in whatever order, it runs again once all is well, and never hammers",
  async (t) => {
    const fault = fc.record({
      afterMs: fc.integer({ min: 0, max: 8000 }),
      what: fc.constantFrom("scheduler", "near", "far", "agent", "stall", "room"),
      health: fc.constantFrom<Health>("up", "silent", "gone"),
      agent: fc.nat({ max: 3 }),
      heldUpMs: fc.integer({ min: 0, max: 4000 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fault, { maxLength: 8 }), async (faults) => {
        const world = new SessionWorld();
        const over = world.start();
        for (const { afterMs, what, health, agent, heldUpMs } of faults) {
          await world.clock.advance(afterMs);
          if (what === "scheduler") world.scheduler = health;
          const edge = world.edges.find(({ pool }) => pool === what);
          if (edge !== undefined) edge.health = health;
          if (what === "room") setRoom(world, health === "up");
          if (what === "stall") void world.stall([...world.links], heldUpMs);
          const struck = world.agents[agent];
          if (what === "agent" && struck !== undefined) {
            if (health === "up") struck.isAlive = true;
            else world.kill(struck);
          }
        }
        world.scheduler = "up";
        setRoom(world, true);
        for (const edge of world.edges) edge.health = "up";
        for (const agent of world.agents) agent.isAlive = true;
        await world.clock.advance(60_000);
        t.equal(world.view.phase, "running", `runs again: ${world.phases.join(" ")}`);
        t.ok(world.links.size <= 1, `${world.links.size} links`);
        t.ok(
          world.openAtCreate.every((open) => open === 0),
          `links open when another session was asked for: ${world.openAtCreate.join(" ")}`,
        );
        const busiest = Math.max(
          ...world.calls.map(({ atMs }) => world.calls.filter((call) => Math.abs(call.atMs - atMs) < 500).length),
        );
        t.ok(busiest <= 25, `${busiest} calls within a second`);
        world.leave();
        await world.clock.advance(10_000);
        await over;
        t.equal(world.links.size, 0, "no link is left open");
        t.equal(world.clock.pendingTimers, 0, "nothing waits any more");
      }),
      { numRuns: 60 },
    );
  },
);
