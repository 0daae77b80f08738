/** Whether the agent takes new sessions, and every reason why not. Pure. */
import type { NodeSpec } from "#domain/fleet/node.ts";
import type { HostHealth } from "./session/spares.ts";

export interface ReadinessFacts {
  readonly health: HostHealth;
  readonly isStopping: boolean;
  readonly hasSet: boolean;
  /** Of this agent; `undefined` while the set does not have it. */
  readonly node: NodeSpec | undefined;
  readonly missing: "no-app" | "scene-missing" | "calibrating" | undefined;
}

/** Empty: it does. The first is the one to mend first. */
export function reasonsAgainst({ health, isStopping, hasSet, node, missing }: ReadinessFacts): readonly string[] {
  const reasons: string[] = [];
  if (isStopping) reasons.push("stopping");
  if (health.kind === "failed") reasons.push(health.failure.code);
  if (health.kind === "starting") reasons.push("gpu-starting");
  if (!hasSet) reasons.push("no-desired-state");
  if (node?.draining === true) reasons.push("draining");
  else if (node?.cordoned === true) reasons.push("cordoned");
  if (hasSet && missing !== undefined) reasons.push(missing);
  return reasons;
}
