/** An origin restored from an old backup whose epoch was not raised is refused by each edge that holds more, which says so. */
import type { Check } from "./check.ts";

const SAID_MS_MAX = 10_000;

export function restoredOrigin(): Check {
  return ({ stale, nowMs, upSinceMs, refusedAtMs, history }) => {
    for (const edge of stale?.ahead ?? []) {
      const { applied, name } = edge;
      if (stale === undefined || applied === undefined) continue;
      if (applied.epoch === history.epoch && applied.revision <= stale.revision)
        return `${name} followed a restored origin back to ${applied.epoch}/${applied.revision}`;
      const upSince = upSinceMs.get(edge);
      if (upSince === undefined || upSince < stale.sinceMs || nowMs - upSince < SAID_MS_MAX) continue;
      if ((refusedAtMs.get(edge) ?? 0) < upSince)
        return `${name} is connected to an origin that lacks what it holds, and has refused nothing`;
    }
    return undefined;
  };
}
