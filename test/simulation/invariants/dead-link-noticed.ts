/** A link on which nothing arrives any more is given up within 10 s by the end that waits for it. */
import type { Connection } from "../simulated-network.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import type { Check } from "./check.ts";

const NOTICED_MS_MAX = 10_000;

export function deadLinkNoticed(): Check {
  /** How long each process had been held by its disk when its link died: in such time it is not there to notice. */
  const heldBefore = new WeakMap<Connection, ReadonlyMap<SimulatedProcess, number>>();
  return ({ network, nowMs }) => {
    for (const connection of network.connections) {
      for (const { process, sinceMs } of connection.deadEnds()) {
        const before = heldBefore.get(connection) ?? new Map([connection.edge, connection.server].map(heldMsOf));
        heldBefore.set(connection, before);
        const heldMs = process.blockedMs - (before.get(process) ?? 0);
        const unnoticedMs = Math.round(nowMs - sinceMs - heldMs);
        if (unnoticedMs > NOTICED_MS_MAX)
          return `${process.name} has not noticed for ${unnoticedMs} ms that the link of ${connection.peer.name} is dead`;
      }
    }
    return undefined;
  };
}

function heldMsOf(process: SimulatedProcess): [SimulatedProcess, number] {
  return [process, process.blockedMs];
}
