import t from "tap";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import type { FleetEdge, NodeStanding } from "../facts/fleet.ts";
import { NodeWatch, PROBE_EVERY_MS, PROBES_MAX, type StateChange } from "./node-watch.ts";

function edge(node: string): FleetEdge {
  const address = { contentUrl: `http://${node}.test`, hostname: `${node}.test` };
  const standing = { state: "cut-off" as const, isHeard: false, cordoned: false, draining: false };
  return { node, pool: "near", ...address, ...standing, sites: undefined, storeBytesMax: undefined };
}

function start(names: readonly string[], probeMs = 0) {
  const clock = new VirtualClock();
  const standings = new Map<string, NodeStanding>();
  const alive = new Set(names);
  const probed: string[] = [];
  const told: StateChange[][] = [];
  const watch = new NodeWatch({
    clock,
    fleet: {
      listEdgeNames: () => names,
      findEdge: edge,
      setStanding: (node, standing) => void standings.set(node, standing),
    },
    probe: async ({ node }) => {
      probed.push(node);
      if (probeMs > 0) await clock.sleep(probeMs);
      return alive.has(node);
    },
    events: { stateChanged: () => undefined },
  });
  const tell = (states: readonly StateChange[]) => told.push([...states]) > 0;
  return { clock, standings, alive, probed, told, tell, watch };
}

t.test("only edges without a link are probed, each every few seconds", async (t) => {
  const { clock, probed, watch } = start(["a", "b"]);
  watch.setLink("a", true);
  watch.knowLinks();
  await clock.advance(3 * PROBE_EVERY_MS);
  t.notOk(probed.includes("a"));
  t.equal(probed.length, 4);
  watch[Symbol.dispose]();
  t.equal(clock.pendingTimers, 0);
});

t.test("a lost link is cut off after ten seconds while probes succeed, and connected when it is back", async (t) => {
  const { clock, standings, watch } = start(["a"]);
  watch.setLink("a", true);
  watch.knowLinks();
  watch.setLink("a", false);
  t.same(standings.get("a"), { state: "connected", isHeard: true }, "a short break is none");
  await clock.advance(12_000);
  t.same(standings.get("a"), { state: "cut-off", isHeard: true });
  watch.setLink("a", true);
  t.same(standings.get("a"), { state: "connected", isHeard: true });
});

t.test("a node that stops is not heard at its first failed probe, and dead once a second observer fails", async (t) => {
  const { clock, standings, alive, watch } = start(["a"]);
  watch.setLink("a", true);
  watch.knowLinks();
  watch.setLink("a", false);
  alive.delete("a");
  await clock.advance(1_000);
  t.same(standings.get("a"), { state: "connected", isHeard: false });
  await clock.advance(30_000);
  t.same(standings.get("a"), { state: "cut-off", isHeard: false }, "one observer may be cut off itself");
  watch.failed("a", "prefix:192.0.2.0/24");
  t.same(standings.get("a"), { state: "dead", isHeard: false });
  watch.answered("a");
  t.same(standings.get("a"), { state: "cut-off", isHeard: true }, "one client that reaches it is enough");
});

t.test(
  "changes are told once, all of them when the word begins to count, again where it could not be sent",
  async (t) => {
    const { clock, told, tell, watch } = start(["a", "b"]);
    watch.setLink("a", true);
    watch.knowLinks();
    t.equal(told.length, 0, "a replica without the lease says nothing");
    let canSend = false;
    watch.tellTo((states) => canSend && tell(states));
    canSend = true;
    await clock.advance(1_000);
    t.same(
      told.map((states) => states.map(({ node, state }) => `${node} ${state}`)),
      [["a connected", "b cut-off"]],
    );
    await clock.advance(5_000);
    t.equal(told.length, 1);
    watch.setLink("b", true);
    await clock.advance(1_000);
    t.match(told[1], [{ node: "b", state: "connected" }]);
  },
);

t.test("an origin that is gone makes nobody dead, and few are probed at once", async (t) => {
  const names = Array.from({ length: 5 * PROBES_MAX }, (_, index) => `n${index}`);
  const { clock, standings, probed, watch } = start(names, 900);
  for (const name of names) watch.setLink(name, true);
  watch.knowLinks();
  watch.loseLinks();
  t.ok(probed.length <= PROBES_MAX);
  await clock.advance(9_000);
  t.equal(new Set(probed).size, names.length, "each has its turn");
  t.same(new Set([...standings.values()].map(({ state }) => state)), new Set(["connected"]));
});
