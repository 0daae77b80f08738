import t from "tap";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { ContentDemand, DEMAND_HALF_LIFE_MS, DEMAND_SITES_MAX } from "./content-demand.ts";

const seen = (rtts: Readonly<Record<string, number>>) => Object.entries(rtts).map(([pool, rttMs]) => ({ pool, rttMs }));

t.test("clients count for the pool nearest to them, and fade by half in a day", async (t) => {
  const clock = new VirtualClock();
  const demand = new ContentDemand(clock);
  demand.asked("shop", seen({ b: 20, a: 10 }));
  demand.asked("shop", seen({ a: 12, b: 20 }));
  demand.asked("shop", seen({ b: 5, a: 5 }));
  demand.asked("shop", []);
  t.same([...demand.clientsOf("shop")], [["a", 3]], "of two as near the first by name");
  t.same([...demand.clientsOf("wiki")], []);
  await clock.advance(DEMAND_HALF_LIFE_MS);
  t.equal(demand.clientsOf("shop").get("a"), 1.5);
  demand.asked("shop", seen({ a: 1 }));
  t.equal(demand.clientsOf("shop").get("a"), 2.5);
});

t.test("how far the clients of a pool are from another is smoothed over them", async (t) => {
  const demand = new ContentDemand(new VirtualClock());
  demand.asked("shop", seen({ a: 10, b: 40 }));
  t.equal(demand.rttMs("a", "b"), 40);
  t.equal(demand.rttMs("b", "a"), undefined, "of clients near to b nothing is known");
  demand.asked("wiki", seen({ a: 10, b: 80 }));
  t.equal(demand.rttMs("a", "b"), 45);
});

t.test("the site not asked for longest is forgotten", async (t) => {
  const demand = new ContentDemand(new VirtualClock());
  for (let site = 0; site <= DEMAND_SITES_MAX; site += 1) demand.asked(`site-${site}`, seen({ a: 1 }));
  t.equal(demand.clientsOf("site-0").size, 0);
  t.equal(demand.clientsOf("site-1").size, 1);
});
