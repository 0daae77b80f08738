/** What was changed while an edge was away is there soon after it dials again, over a long path. */
import { systemClock } from "#platform/clock.ts";
import { prepareEdge } from "#test/bench/prepared-edge.ts";
import { document } from "#test/edge-origin/edge-and-origin.ts";
import { withheldMs } from "#test/end-to-end/fleet.ts";
import { ask } from "#test/end-to-end/http-client.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { apply, metricOf, revisionOf, untilLink } from "./edge-words.ts";
import { fairTime } from "./fair-times.ts";
import type { Fault } from "./fault.ts";

const CHANGES = 2_000;
const RTT_MS = 100;
const CONVERGED_MS_MAX = 2_000;
const OBJECTS = 20;
/** Reconnection waits at most 30 s. */
const AWAY_MS_MAX = 60_000;
const DIAL_POLL_MS = 2;
const POLL_MS = 25;
/** What the edge answers for a host that is no site's here. */
const MISDIRECTED = 421;

export const changesWhileAway: Fault = {
  name: "changes-while-away",
  what: `${CHANGES} changes made while the edge is cut off, then a path of ${RTT_MS} ms RTT`,
  async run(trial) {
    const { edge, origin } = await prepareEdge(trial, OBJECTS);
    const [toNodes] = edge.toCloud;
    if (toNodes === undefined) throw new Error("the edge has a way to the origin");
    let turn = 0;
    const hostOf = (index: number): string => `changed-${index}.turn-${turn}.example`;
    const limit = { what: `${CHANGES} changes at ${RTT_MS} ms RTT, from dialling`, boundMs: CONVERGED_MS_MAX };
    const converged = await fairTime(trial, limit, async () => {
      turn += 1;
      for (const link of edge.toCloud) link.cut();
      await untilLink(edge, 0);
      const change = (_: unknown, index: number) =>
        document("Site", `changed-${index}`, { hostnames: [hostOf(index)], publish: {} });
      await apply(origin, Array.from({ length: CHANGES }, change));
      const revision = await revisionOf(origin);
      for (const link of edge.toCloud) link.set({ rttMs: RTT_MS });
      const before = toNodes.connectionsTaken;
      for (const link of edge.toCloud) link.restore();
      const isDialled = (taken: number): boolean => taken > before;
      const patience = { pauseMs: DIAL_POLL_MS, limitMs: AWAY_MS_MAX };
      await untilSo("the edge dials", async () => toNodes.connectionsTaken, isDialled, patience);
      const dialledMs = systemClock.monotonicMs();
      const withheldBefore = withheldMs(edge);
      const isThere = (applied: number): boolean => applied >= revision;
      await untilSo("all is applied", () => metricOf(edge, "applied_revision"), isThere, { pauseMs: POLL_MS });
      return { ms: systemClock.monotonicMs() - dialledMs, withheldMs: withheldMs(edge) - withheldBefore };
    });
    const statuses = [];
    for (const index of [0, CHANGES / 2, CHANGES - 1]) {
      statuses.push((await ask(edge.content, "/", { headers: { host: hostOf(index) } })).status);
    }
    const unknown = statuses.filter((status) => status === MISDIRECTED).length;
    return [converged, { what: "changed sites that are not answered for", value: unknown, unit: "count", bound: 0 }];
  },
};
