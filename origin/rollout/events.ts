/** What happens in the roll-out, as log records and metrics together. */
import type { RolloutSpec } from "#domain/fleet/rollout.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";

export type RolloutEvents = ReturnType<typeof createRolloutEvents>;

export function createRolloutEvents(logger: Logger, metrics: Metrics) {
  const heldBack = metrics.gauge("rollout_held_back", "Resources that some pools have not the newest version of");
  const halted = metrics.gauge("rollout_halted", "1 while an edge in quarantine holds the roll-out up");
  const steps = metrics.counter("rollout_steps_total", "Times that the roll-out moved on, halted or was mended");
  return {
    rolloutMoved(waves: RolloutSpec["waves"]) {
      steps.inc();
      logger.info({ positions: waves.map(({ position }) => position ?? "newest") }, "the roll-out has changed");
    },
    rolloutHalted({ node, message }: { readonly node: string; readonly message: string }) {
      logger.error(
        { node, reason: message },
        "the roll-out has halted: later pools keep what they have until this is mended",
      );
    },
    rolloutSeen(resources: number, isHalted: boolean) {
      heldBack.set(resources);
      halted.set(isHalted ? 1 : 0);
    },
    rolloutFailed(error: unknown) {
      logger.error({ err: error }, "the roll-out could not go on, it is tried again in a second");
    },
  };
}
