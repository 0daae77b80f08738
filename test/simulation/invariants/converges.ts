/** Once faults have ended, every edge is connected and at the log's newest revision. */
import type { World } from "../world.ts";
import type { Check } from "./check.ts";

export function converges(): Check {
  return (world) => {
    const behind = world.edges.filter((edge) => !edge.isUp || !isCurrent(world, edge.applied));
    if (behind.length === 0) return undefined;
    const words = behind.map(
      ({ name, isUp, applied }) => `${name} (${isUp ? "up" : "down"}) at ${applied?.epoch}/${applied?.revision}`,
    );
    return `the log is at ${world.history.epoch}/${world.history.revision}, ${words.join(", ")}`;
  };
}

export function isCurrent(
  { history }: World,
  applied: { readonly epoch: number; readonly revision: number } | undefined,
): boolean {
  return applied?.epoch === history.epoch && applied.revision === history.revision;
}
