import fc from "fast-check";
import t from "tap";
import { type AgentFacts, orderAgents } from "./pick-agent.ts";

const LOAD_BOUND_RATIO = 1.25;
const small = { renderClass: "small", scene: "hall" };

function agentOf(agent: string, total: number, free: number, changes: Partial<AgentFacts> = {}): AgentFacts {
  return { agent, isReady: true, isClosed: false, slots: new Map([["small", { total, free }]]), ...changes };
}

const agents = fc.uniqueArray(
  fc
    .record({
      agent: fc.integer({ min: 0, max: 999 }).map((number) => `gpu-${number}`),
      total: fc.integer({ min: 0, max: 8 }),
      usedRatio: fc.double({ min: 0, max: 1, noNaN: true }),
      isReady: fc.boolean(),
      isClosed: fc.boolean(),
    })
    .map(({ agent, total, usedRatio, ...state }) =>
      agentOf(agent, total, total - Math.floor(usedRatio * total), state),
    ),
  { selector: ({ agent }) => agent, maxLength: 12 },
);

const scenes = fc.string().map((scene) => ({ renderClass: "small", scene }));

function usedBy({ slots }: AgentFacts): number {
  const { total = 0, free = 0 } = slots.get("small") ?? {};
  return total - free;
}

const isEligible = ({ isReady, isClosed, slots }: AgentFacts): boolean =>
  isReady && !isClosed && (slots.get("small")?.free ?? 0) > 0;

t.test("exactly the agents that may take the session now are named, each once", async (t) => {
  fc.assert(
    fc.property(agents, scenes, (all, wanted) => {
      const order = orderAgents(all, wanted);
      const eligible = all.filter(isEligible).map(({ agent }) => agent);
      if (order.kind === "none") return eligible.length === 0;
      return order.agents.length === eligible.length && eligible.every((agent) => order.agents.includes(agent));
    }),
  );
  t.pass("held");
});

t.test("an agent above its share of the load is asked only after all that are not", async (t) => {
  fc.assert(
    fc.property(agents, scenes, (all, wanted) => {
      const order = orderAgents(all, wanted);
      if (order.kind === "none") return true;
      const holders = all.filter(({ isReady, isClosed, slots }) => isReady && !isClosed && slots.get("small")?.total);
      const total = holders.reduce((sum, { slots }) => sum + (slots.get("small")?.total ?? 0), 0);
      const used = holders.reduce((sum, agent) => sum + usedBy(agent), 0);
      const isOver = order.agents.map((name) => {
        const agent = holders.find((holder) => holder.agent === name);
        if (agent === undefined) return true;
        const share = (agent.slots.get("small")?.total ?? 0) / total;
        return usedBy(agent) + 1 > Math.ceil(LOAD_BOUND_RATIO * (used + 1) * share);
      });
      return !isOver.some((over, index) => over && isOver.slice(index).some((later) => !later));
    }),
  );
  t.pass("held");
});

t.test(
  "of idle agents, one that leaves moves only what it had, and one that comes takes only for itself",
  async (t) => {
    const idle = fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { minLength: 2, maxLength: 10 });
    fc.assert(
      fc.property(idle, fc.nat(), scenes, (numbers, which, wanted) => {
        const all = numbers.map((number) => agentOf(`gpu-${number}`, 4, 4));
        const gone = all[which % all.length];
        const rest = all.filter((agent) => agent !== gone);
        const before = orderAgents(all, wanted);
        const after = orderAgents(rest, wanted);
        if (before.kind === "none" || after.kind === "none") return false;
        const expected = before.agents.filter((agent) => agent !== gone?.agent);
        return expected.join() === after.agents.join();
      }),
    );
    t.pass("held");
  },
);

t.test("filling a pool session by session never leaves one agent far above another, and leaves none out", async (t) => {
  const totals = new Map([
    ["gpu-a", 4],
    ["gpu-b", 4],
    ["gpu-c", 8],
  ]);
  const used = new Map([...totals.keys()].map((agent) => [agent, 0]));
  for (let session = 0; session < 16; session += 1) {
    const scene = `scene-${session % 2}`;
    const facts = [...totals].map(([agent, total]) => agentOf(agent, total, total - (used.get(agent) ?? 0)));
    const order = orderAgents(facts, { renderClass: "small", scene });
    t.equal(order.kind, "ordered", `session ${session}`);
    const [first = ""] = order.kind === "ordered" ? order.agents : [];
    used.set(first, (used.get(first) ?? 0) + 1);
  }
  t.same([...used], [...totals], "all slots are taken");
  t.match(orderAgents([agentOf("gpu-a", 4, 0)], small), { kind: "none", because: "full" });
});

t.test("why nobody can take a session is said", async (t) => {
  const cases: readonly [readonly AgentFacts[], string][] = [
    [[], "no-agent"],
    [[agentOf("a", 4, 4, { isReady: false })], "not-ready"],
    [[agentOf("a", 4, 4, { isClosed: true }), agentOf("b", 4, 4, { isReady: false })], "closed"],
    [[agentOf("a", 4, 4, { slots: new Map([["large", { total: 1, free: 1 }]]) })], "no-such-class"],
    [[agentOf("a", 0, 0)], "no-such-class"],
    [[agentOf("a", 4, 0)], "full"],
  ];
  for (const [facts, because] of cases) t.same(orderAgents(facts, small), { kind: "none", because }, because);
});
