/** The button that kills the renderer which serves, and says how long no picture came. Only in a one-machine start. */
import type { ClientClock } from "../clock.ts";
import type { Session } from "../perigee.ts";
import { followSession, gapMsOf, type KilledAgent } from "./killed-agent.ts";
import { killNode, type Machine } from "./machine.ts";

export interface KillElements {
  readonly kill: HTMLButtonElement;
  readonly killed: HTMLElement;
}

export function offerKill(
  { kill, killed }: KillElements,
  machine: Machine,
  session: Session,
  clock: ClientClock,
): void {
  let lost: KilledAgent | undefined;
  const name = (): void => {
    const { agent, phase } = session.state();
    kill.disabled = agent === undefined || phase !== "running";
    kill.textContent = agent === undefined ? "Kill the renderer" : `Kill ${agent}`;
  };
  const say = (text: string): void => {
    killed.hidden = false;
    killed.textContent = text;
  };
  kill.hidden = false;
  name();
  session.on("state", (state) => {
    name();
    lost &&= followSession(lost, state);
  });
  session.on("frame", () => {
    const { agent } = session.state();
    const gapMs = lost === undefined || agent === undefined ? undefined : gapMsOf(lost, agent, clock.monotonicMs());
    if (lost === undefined || gapMs === undefined) return;
    say(`${lost.agent} was killed: pictures came from ${agent} ${gapMs} ms later.`);
    lost = undefined;
  });
  kill.addEventListener("click", () => {
    const { agent } = session.state();
    if (agent === undefined) return;
    lost = { agent, atMs: clock.monotonicMs(), isLeft: false };
    say(`${agent} is killed. The pictures are turned to your head meanwhile.`);
    killNode(machine, agent, clock).catch((error: unknown) => {
      lost = undefined;
      say(`${agent} was not killed: ${error instanceof Error ? error.message : String(error)}`);
    });
  });
}
