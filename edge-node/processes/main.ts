/** Starts a front process: forked by the main process of an edge, and told by it what to do. */
import { systemClock } from "#platform/clock.ts";
import { FrontProcess } from "./front-process.ts";
import type { FromFront, FromMain } from "./messages.ts";

// Without a channel there is nobody whose front this would be.
if (process.connected) {
  const send = (message: FromFront): Promise<void> =>
    new Promise((resolve) => {
      if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
    });
  const front = new FrontProcess({ clock: systemClock, send, onStopped: () => process.exit(0) });
  process.on("message", (message: FromMain) => front.receive(message));
  process.on("disconnect", () => {
    front.abandoned();
    process.exit(0);
  });
  // A signal to the whole group is for the main process, which says when to stop.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => undefined);
  process.on("SIGHUP", () => undefined);
}
