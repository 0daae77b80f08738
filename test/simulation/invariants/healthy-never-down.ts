/** No edge whose link is up and whose bytes flow is marked down, by itself or by the origin. */
import type { Check } from "./check.ts";

export function healthyNeverDown(): Check {
  return ({ falseDowns, edges, network, origin }) => {
    const [first] = falseDowns;
    if (first !== undefined) return first;
    const { running } = origin;
    if (running === undefined) return undefined;
    for (const connection of network.connections) {
      if (connection.disturbedBy !== undefined || !connection.isOpenAtBoth) continue;
      const { name } = connection.peer;
      const isUp = edges.some((edge) => edge.name === name && edge.isUp);
      if (isUp && running.observed.find(name)?.linkUp !== true) return `${name} is up, and down in the origin's eyes`;
    }
    return undefined;
  };
}
