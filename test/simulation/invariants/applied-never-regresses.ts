/** An edge's applied epoch and revision never go back, also over crashes and restarts. */
import type { Check } from "./check.ts";

export function appliedNeverRegresses(): Check {
  const highest = new Map<string, { readonly epoch: number; readonly revision: number }>();
  return ({ edges }) => {
    for (const { name, running, applied } of edges) {
      if (running === undefined) continue;
      const before = highest.get(name);
      const now = applied ?? { epoch: 0, revision: 0 };
      if (
        before !== undefined &&
        (now.epoch < before.epoch || (now.epoch === before.epoch && now.revision < before.revision))
      )
        return `${name} applies ${now.epoch}/${now.revision}, after ${before.epoch}/${before.revision}`;
      highest.set(name, now);
    }
    return undefined;
  };
}
