/** Random lives of leases: requests, answers, ends and deaths of processes in any order. */
import fc from "fast-check";
import t from "tap";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { sessionsThatFit } from "../capacity/room.ts";
import { decideLease, type LeaseDemand } from "./lease-decision.ts";
import { LEASE_TRANSITIONS, type LeaseEvent, type LeasePhase, nextPhase } from "./lease-phase.ts";
import { Leases } from "./leases.ts";

const SLOTS = 3;
const COST = { shareRatio: 0.4, memoryBytes: 1 };
const ROOM = { slotsMax: SLOTS, memoryBytes: 100 };

type Step =
  | { readonly kind: "ask"; readonly session: number; readonly attempt: number; readonly key: number }
  | { readonly kind: "event"; readonly session: number; readonly event: LeaseEvent }
  | { readonly kind: "time-is-up"; readonly session: number }
  | { readonly kind: "close" | "reopen" };

const session = fc.nat({ max: 3 });
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("ask" as const),
      session,
      attempt: fc.integer({ min: 1, max: 4 }),
      key: fc.nat({ max: 1 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("event" as const),
      session,
      event: fc.constantFrom<LeaseEvent>("process-answered", "told-to-end", "process-gone"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("time-is-up" as const), session }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("close" as const, "reopen" as const) }) },
);

function demandOf({ session, attempt, key }: Extract<Step, { kind: "ask" }>): LeaseDemand {
  const thumbprint = `key-${key}`;
  return { session: `session-${session}`, attempt, app: "hall", renderClass: "tiny", thumbprint };
}

class Life {
  readonly leases = new Leases({ slotsMax: SLOTS, clock: new VirtualClock() });
  readonly highest = new Map<string, number>();
  readonly over = new Set<string>();
  isClosed = false;

  ask(demand: LeaseDemand): string {
    const { leases } = this;
    const running = leases.all().map(() => COST);
    const decision = decideLease({
      demand,
      held: leases.get(demand.session),
      memory: leases.memoryOf(demand.session),
      closedBecause: this.isClosed ? "cordoned" : undefined,
      noRoomBecause:
        leases.freeSlot() !== undefined && sessionsThatFit(COST, running, ROOM) > 0 ? undefined : "it is full",
    });
    if (decision.kind === "grant") {
      leases.open(demand, { slot: leases.freeSlot() ?? -1, edge: "near-1" });
      this.highest.set(demand.session, demand.attempt);
    }
    if (decision.kind === "end-first") leases.apply(demand.session, "told-to-end");
    return decision.kind === "refuse" ? decision.failure.code : decision.kind;
  }

  check(): void {
    const held = this.leases.all();
    const slots = held.map(({ slot }) => slot);
    if (new Set(slots).size !== slots.length) throw new Error("a slot is two sessions'");
    if (slots.some((slot) => slot < 0 || slot >= SLOTS)) throw new Error("a slot that is not there");
    if (held.length * COST.shareRatio > 1 + 1e-6) throw new Error("more than the machine renders");
  }
}

/** Throws where an invariant does not hold. */
function take(world: Life, step: Step, seen: Set<string>): void {
  switch (step.kind) {
    case "close":
    case "reopen":
      world.isClosed = step.kind === "close";
      return;
    case "ask":
      seen.add(checkedAsk(world, demandOf(step)));
      return;
    case "event":
      if (world.leases.get(`session-${step.session}`) !== undefined) {
        world.leases.apply(`session-${step.session}`, step.event);
      }
      return;
    case "time-is-up":
      if (world.leases.get(`session-${step.session}`) === undefined) return;
      world.leases.close(`session-${step.session}`);
      world.over.add(`session-${step.session}`);
  }
}

function checkedAsk(world: Life, demand: LeaseDemand): string {
  const { session, attempt, thumbprint } = demand;
  const before = world.leases.get(session);
  const isLower = attempt < (world.highest.get(session) ?? 0);
  const outcome = world.ask(demand);
  if (isLower && outcome !== "attempt-superseded") throw new Error(`a lower attempt: ${outcome}`);
  if (world.over.has(session) && outcome !== "attempt-superseded") throw new Error("back from the end");
  if (outcome === "again" && before?.thumbprint !== thumbprint) throw new Error("another key's lease");
  if (outcome === "grant" && world.isClosed) throw new Error("granted while closed");
  return outcome;
}

t.test("a slot is never two sessions', an attempt never goes back, whatever comes in whatever order", async (t) => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 60 }), (life) => {
      const world = new Life();
      for (const step of life) {
        take(world, step, seen);
        world.check();
      }
    }),
    { numRuns: 2_000 },
  );
  const outcomes = ["again", "attempt-superseded", "end-first", "grant", "placement-refused", "proof-invalid"];
  t.same([...seen].sort(), outcomes, "every outcome was met");
});

t.test("the memory of an ended session fades once no grant of it can be shown", async (t) => {
  const clock = new VirtualClock();
  const leases = new Leases({ slotsMax: 1, clock });
  const demand: LeaseDemand = { session: "s", attempt: 2, app: "a", renderClass: "c", thumbprint: "k" };
  leases.open(demand, { slot: 0, edge: "near-1" });
  leases.apply("s", "process-gone");
  t.match(leases.memoryOf("s"), { attempt: 2, isOver: false });
  await clock.advance(180_001);
  t.equal(leases.memoryOf("s"), undefined);
});

t.test("the table is total, nothing leaves the end, and what is held can always end", async (t) => {
  const phases = Object.keys(LEASE_TRANSITIONS);
  t.same(phases, ["granting", "live", "ending", "ended"]);
  for (const phase of ["granting", "live", "ending"] satisfies LeasePhase[])
    t.equal(nextPhase(phase, "process-gone"), "ended", phase);
  t.throws(() => nextPhase("ended", "told-to-end"));
});
