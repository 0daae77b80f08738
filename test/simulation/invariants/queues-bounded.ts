/** What waits stays within its bounds: reports on disk, the stored chain, messages under way, connections, timers. */
import { CHAIN_ENVELOPES_MAX } from "#edge-node/desired-state/pool-set.ts";
import { ROW_BYTES } from "#edge-node/reports/report-queue.ts";
import { WINDOW_ITEMS_MAX } from "../pipe.ts";
import { REPORTS_BYTES_MAX, SET_FILE } from "../simulated-edge.ts";
import type { Check } from "./check.ts";

/** One that an end has not yet given up, and those that came after it within 10 s. */
const CONNECTIONS_PER_EDGE_MAX = 8;
const TIMERS_PER_EDGE_MAX = 60;
/** Until the snapshot comes that is asked for instead. */
const CHAIN_SLACK = 64;
/** Each takes so much at least. */
const REPORTS_MAX = REPORTS_BYTES_MAX / ROW_BYTES;

export function queuesBounded(): Check {
  return ({ edges, network, time }) => {
    for (const { name, running, disk } of edges) {
      const waiting = running?.reports.size ?? 0;
      if (waiting > REPORTS_MAX) return `${waiting} reports wait at ${name}, at most ${REPORTS_MAX}`;
      if (running?.set.needsSnapshot !== true) continue;
      const chain = Number(disk.read(SET_FILE, "SELECT count(*) AS count FROM envelope")[0]?.["count"]);
      if (chain > CHAIN_ENVELOPES_MAX + CHAIN_SLACK) return `the chain of ${name} has ${chain} envelopes`;
    }
    const connections = network.connections.size;
    if (connections > CONNECTIONS_PER_EDGE_MAX * edges.length)
      return `${connections} connections of ${edges.length} edges`;
    if (time.pendingTimers > TIMERS_PER_EDGE_MAX * edges.length) return `${time.pendingTimers} timers wait`;
    for (const { itemsUnderWay, peer } of network.connections)
      if (itemsUnderWay > WINDOW_ITEMS_MAX + 1)
        return `${itemsUnderWay} messages are under way to or from ${peer.name}`;
    return undefined;
  };
}
