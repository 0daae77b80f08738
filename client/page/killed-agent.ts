/** How long no picture came after an agent was killed, whether it is another or the same one that comes back. Pure. */
import type { SessionState } from "../session-state.ts";

export interface KilledAgent {
  readonly agent: string;
  readonly atMs: number;
  /** The session has left it: what comes under its name is of a new start. */
  readonly isLeft: boolean;
}

export function followSession(killed: KilledAgent, { phase }: Pick<SessionState, "phase">): KilledAgent {
  return phase === "running" ? killed : { ...killed, isLeft: true };
}

/** From the kill to a picture of `agent`; `undefined` of one that was on its way when it was killed. */
export function gapMsOf({ agent: lost, atMs, isLeft }: KilledAgent, agent: string, nowMs: number): number | undefined {
  return agent === lost && !isLeft ? undefined : Math.round(nowMs - atMs);
}
