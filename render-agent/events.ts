/** What happens in a render-agent: one method an event, the log record and the metrics together. */
import { FAILURE_CODES, type Failure, isFailure } from "#domain/failure.ts";
import type { SlotCount } from "#domain/fleet/node.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";
import type { AppLine } from "./apps/app-messages.ts";
import type { Calibration } from "./capacity/calibration.ts";
import type { CalibrationJob } from "./capacity/calibrator.ts";
import type { Scene } from "./scenes/scene-keeper.ts";
import type { Lease } from "./session/leases.ts";
import type { Equipment } from "./session/messages.ts";
import type { EndedLease, GrantedLease } from "./session/session-host.ts";
import type { HostHealth } from "./session/spares.ts";

/** Every first word of a reason that an agent gives itself; what edges say beside them is one label. */
const END_REASONS: ReadonlySet<string> = new Set([
  ...FAILURE_CODES,
  "client-ended",
  "client-silent",
  "draining",
  "frame failed",
  "gpu-lost",
  "not-answered",
  "process-exited",
  "process-hung",
  "process-not-started",
  "session-length",
  "stopping",
  "superseded",
]);

function endLabel(reason: string): string {
  const word = reason.split(":", 1)[0] ?? "";
  return END_REASONS.has(word) ? word : "told-by-edge";
}

export function createAgentEvents(logger: Logger, metrics: Metrics) {
  return {
    ...controlEvents(logger, metrics),
    ...sessionEvents(logger, metrics),
    ...capacityEvents(logger, metrics),
    storageFailed: (error: unknown) =>
      logger.error({ err: error, code: isFailure(error) ? error.code : "bug" }, "storage failed"),
    listening: (addresses: Readonly<Record<string, string>>) => logger.info({ addresses }, "render-agent listening"),
  };
}

function controlEvents(logger: Logger, metrics: Metrics) {
  const links = metrics.gauge("edge_link_up", "1 while the stream to the edge stands", ["edge"]);
  const revision = metrics.gauge("applied_revision", "Revision of the pool's set that is durable here");
  const batches = metrics.counter("batches_refused_total", "Batches of desired state refused by reason", ["code"]);
  const damaged = metrics.counter("stored_state_damaged_total", "Stored sets that did not verify at load");
  return {
    linkUp(edge: string) {
      links.set({ edge }, 1);
      logger.info({ edge }, "link to the edge up");
    },
    linkDown(edge: string, reason: Failure) {
      links.set({ edge }, 0);
      logger.warn({ edge, err: reason }, "link to the edge down");
    },
    applied(to: number) {
      revision.set(to);
      logger.debug({ revision: to }, "desired state applied");
    },
    batchRefused(failure: Failure) {
      batches.inc({ code: failure.code });
      logger.warn({ err: failure }, "batch refused, the set stays as it was");
    },
    storedDamaged(failure: Failure) {
      damaged.inc();
      logger.error({ err: failure }, "the stored set does not verify, a snapshot is awaited");
    },
  };
}

function sessionEvents(logger: Logger, metrics: Metrics) {
  const granted = metrics.counter("leases_granted_total", "Answers that granted a lease, repeated ones included");
  const refused = metrics.counter("leases_refused_total", "Lease requests refused by reason", ["code"]);
  const ended = metrics.counter("sessions_ended_total", "Sessions that ended, by reason", ["reason"]);
  const lines = metrics.counter("app_lines_total", "Lines of the consoles of sessions' apps", ["level"]);
  const upgrades = metrics.counter("websocket_refused_total", "WebSocket connections without a lease's address");
  return {
    leaseGranted({ session, attempt, fence, renderClass }: GrantedLease) {
      granted.inc();
      logger.info({ session, attempt, fence, renderClass: renderClass.name }, "lease granted");
    },
    leaseRefused(failure: Failure) {
      refused.inc({ code: failure.code });
      logger.warn({ err: failure }, "lease refused");
    },
    sessionEnded({ lease, reason }: EndedLease) {
      ended.inc({ reason: endLabel(reason) });
      logger.info({ session: lease.session, attempt: lease.attempt, reason }, "session ended");
    },
    appLine({ session, app }: Lease, { level, text }: AppLine) {
      lines.inc({ level });
      logger[level]({ session, app, text }, "a session's app says");
    },
    upgradeRefused: () => upgrades.inc(),
  };
}

function capacityEvents(logger: Logger, metrics: Metrics) {
  const sessions = metrics.gauge("sessions", "Sessions that hold a slot");
  const total = metrics.gauge("slots_total", "Sessions of the class that fit an idle machine", ["render_class"]);
  const free = metrics.gauge("slots_free", "Sessions of the class that fit beside those that run", ["render_class"]);
  const frames = metrics.gauge("frame_seconds_p95", "Render and encode of a frame, p95", ["render_class"]);
  const gpu = metrics.gauge("gpu_ready", "1 while session processes can be started");
  const scenes = metrics.counter("scenes_delayed_total", "Attempts at a scene that are made again", ["code"]);
  return {
    occupied(count: number, slots: readonly SlotCount[]) {
      sessions.set(count);
      for (const gauge of [total, free, frames]) gauge.reset();
      for (const slot of slots) {
        const labels = { render_class: slot.renderClass };
        total.set(labels, slot.total);
        free.set(labels, slot.free);
        frames.set(labels, slot.frameMsP95 / 1000);
      }
    },
    health(health: HostHealth) {
      gpu.set(health.kind === "good" ? 1 : 0);
      if (health.kind === "failed") logger.error({ err: health.failure }, "a session process does not start");
      else logger.debug({ health }, "a session process has started");
    },
    /** What is missing is not wrong: the machine does its work, slower. */
    equipped({ adapterName, isSoftware, encoder, advice }: Equipment) {
      logger.info({ adapter: adapterName, isSoftware, encoder }, "sessions are rendered and encoded by");
      for (const what of advice) logger.warn({ what }, "sessions could be rendered or encoded better");
    },
    vulkanFailed: (kind: string, failure: unknown) =>
      logger.warn({ kind, err: failure }, "this Vulkan does not work here, trying the next"),
    calibrated({ app, renderClass }: CalibrationJob, calibration: Calibration) {
      logger.info({ app: app.name, renderClass: renderClass.name, ...calibration }, "class calibrated");
    },
    appRefused({ app, renderClass }: CalibrationJob, failure: Failure) {
      const where = { app: app.name, renderClass: renderClass.name };
      logger.error({ ...where, err: failure }, "an app fails, it is not rendered here");
    },
    calibrationFailed: (failure: Failure) => logger.warn({ err: failure }, "calibration failed, tried again"),
    sceneReady(app: string, { digest, generation }: Scene) {
      logger.info({ app, digest, generation }, "scene ready");
    },
    sceneDelayed(app: string, failure: Failure) {
      scenes.inc({ code: failure.code });
      logger.warn({ app, err: failure }, "scene not here yet");
    },
  };
}
