/** What happens at the door to the pool's agents: one method an event, the log record and the metrics together. */
import { type Failure, isFailure } from "#domain/failure.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";
import type { StunFault } from "#platform/stun/binding.ts";

export type SessionOperation = "connect" | "ticket" | "report" | "watch" | "end";
export type DoorEvents = ReturnType<typeof createDoorEvents>;

export function createDoorEvents(logger: Logger, metrics: Metrics) {
  const probes = metrics.counter("probes_answered_total", "Probes answered");
  const probesRefused = metrics.counter("probes_refused_total", "Probes refused by reason", ["code"]);
  const checks = metrics.counter("udp_probes_total", "Probes over UDP answered, or why not", ["outcome"]);
  const calls = metrics.counter("session_calls_total", "Session calls by outcome: ok or why not", [
    "operation",
    "code",
  ]);
  const agents = metrics.gauge("agents_connected", "Render-agents of the pool on a stream to this edge");
  const twice = metrics.counter("agent_identity_twice_total", "Streams of a second process with an agent's identity");
  const leases = metrics.counter("lease_answers_total", "Agents' answers to lease requests: granted or why not", [
    "code",
  ]);
  const ended = metrics.counter("sessions_ended_total", "Sessions that agents ended");
  const refused = metrics.counter("site_calls_refused_total", "Calls of agents and siblings that failed", ["code"]);
  const watches = metrics.gauge("session_watches", "Clients that wait to hear that their agent is gone");
  const relayed = metrics.counter("enrolments_relayed_total", "Joining and renewing agents by outcome", ["outcome"]);
  const steered = metrics.counter("steered_total", "Users steered while cut off by how", ["how"]);
  let connected = 0;
  return {
    probeAnswered: () => probes.inc(),
    probeRefused(failure: Failure) {
      probesRefused.inc({ code: failure.code });
      logger.debug({ err: failure }, "probe refused");
    },
    udpProbeAnswered: () => checks.inc({ outcome: "ok" }),
    udpProbeRefused: (fault: StunFault) => checks.inc({ outcome: fault }),
    udpProbesBroke: (error: Error) => logger.error({ err: error }, "socket of probes over UDP failed"),
    called: (operation: SessionOperation) => calls.inc({ operation, code: "ok" }),
    callRefused(operation: SessionOperation, failure: Failure) {
      calls.inc({ operation, code: failure.code });
      logger.info({ operation, err: failure }, "session call refused");
    },
    broke: (error: unknown) => logger.error({ err: error }, "session call broke"),
    agentUp(agent: string) {
      connected += 1;
      agents.set(connected);
      logger.info({ agent }, "agent connected");
    },
    agentDown(agent: string, reason: unknown) {
      connected -= 1;
      agents.set(connected);
      logger.warn({ agent, err: reason }, "agent gone");
    },
    agentTwice(agent: string) {
      twice.inc();
      logger.error({ agent }, "two processes have one agent's identity, the newer stands");
    },
    leaseAnswered(agent: string, outcome: "granted" | Failure) {
      leases.inc({ code: outcome === "granted" ? outcome : outcome.code });
      if (outcome !== "granted") logger.warn({ agent, err: outcome }, "no lease");
    },
    sessionEnded(session: { agent: string; session: string; attempt: number; reason: string }) {
      ended.inc();
      logger.info(session, "session ended");
    },
    siteCallFailed(error: unknown) {
      refused.inc({ code: isFailure(error) ? error.code : "bug" });
      if (isFailure(error)) logger.warn({ err: error }, "call of an agent failed");
      else logger.error({ err: error }, "call of an agent failed by a bug");
    },
    relayed(outcome: "issued" | "refused") {
      relayed.inc({ outcome });
      logger.info({ outcome }, "enrolment relayed");
    },
    watching: (waiting: number) => watches.set(waiting),
    steered: (how: "json" | "redirect") => steered.inc({ how }),
  };
}
