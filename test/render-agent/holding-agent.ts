/** An agent's part in a session, as a process that a test may kill: holds one session's process and passes signalling on. */
import { systemClock } from "#platform/clock.ts";
import type { SessionSetup } from "#render-agent/session/messages.ts";
import { startSessionProcess } from "#render-agent/session/session-process.ts";

export interface HeldSession {
  readonly environment: Readonly<Record<string, string>>;
  readonly setup: SessionSetup;
  readonly offerSdp: string;
}

export interface SessionHeld {
  readonly pid: number;
  readonly answerSdp: string;
}

process.once("message", async ({ environment, setup, offerSdp }: HeldSession) => {
  const session = await startSessionProcess({ clock: systemClock, environment });
  await session.setUp(setup);
  const held: SessionHeld = { pid: session.pid, answerSdp: await session.accept(offerSdp) };
  process.send?.(held);
});
