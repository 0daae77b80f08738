/** Each acknowledged report is in the origin's records exactly once in the end, but for those that the queue gave up and counted. */
import type { Check } from "./check.ts";

export function reportsExactlyOnce(): Check {
  return ({ edges, origin }) => {
    const counts = new Map<string, number>();
    for (const { node, json } of origin.records()) {
      const key = `${node} ${json}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    for (const { name, acknowledged, dropped } of edges) {
      const times = acknowledged.map((json) => counts.get(`${name} ${json}`) ?? 0);
      const twice = times.findIndex((count) => count > 1);
      if (twice >= 0) return `${acknowledged[twice]} of ${name} is recorded ${times[twice]} times`;
      const lost = times.filter((count) => count === 0).length;
      if (lost !== dropped) return `${lost} acknowledged reports of ${name} are not recorded, ${dropped} were given up`;
    }
    return undefined;
  };
}
