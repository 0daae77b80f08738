/** Takes what a client brings of its probes: verifies each answer, leaves out what is not believed, and passes on what was learnt. */
import type { ProbeResult } from "#contracts/operator-api/sessions.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { ProbeTrust } from "#domain/latency/probe-trust.ts";
import type { RttMap } from "#domain/latency/rtt-map.ts";
import type { Clock } from "#platform/clock.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { endsOf, estimateContentRtt } from "../placement/candidates.ts";
import type { PoolFacts } from "../placement/pool-facts.ts";
import { trustedAs } from "./in-session.ts";
import type { Measurement, ProbeTokens } from "./probe-tokens.ts";
import type { SessionRecord } from "./session-table.ts";

/** What one probe adds to the history of its group: no client may fill it alone. */
const SAMPLES_RECORDED_MAX = 3;

export interface MeasuringPorts {
  readonly probeTokens: ProbeTokens;
  readonly rttMap: RttMap;
  readonly probeTrust: ProbeTrust;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly events: { answerRefused(failure: Failure): void };
  readonly facts: { findPool(pool: string): PoolFacts | undefined };
  /** Told of each edge that answered: a sign of life. */
  readonly watch: { answered(node: string): void };
}

export interface Believed {
  readonly measurements: readonly Measurement[];
  /** Why others were not believed. */
  readonly notes: readonly string[];
  readonly firstFailure: Failure | undefined;
}

/** Never throws a `Failure`: each is counted, and the first is told of. */
export async function believeProbes(
  ports: MeasuringPorts,
  results: readonly ProbeResult[],
  check: (measurement: Measurement) => void,
): Promise<Believed> {
  const measurements: Measurement[] = [];
  const failures: Failure[] = [];
  for (const result of results) {
    try {
      const measurement = await ports.probeTokens.verify(result);
      checkEdge(ports, measurement);
      check(measurement);
      measurements.push(measurement);
    } catch (error) {
      if (!isFailure(error)) throw error;
      ports.events.answerRefused(error);
      failures.push(error);
    }
  }
  const notes = failures.map(({ code, message }) => `a probe answer is not believed: ${code}: ${message}`);
  return { measurements, notes, firstFailure: failures[0] };
}

/** A certificate outlives a node that was taken out. */
function checkEdge({ facts }: MeasuringPorts, { node, pool }: Measurement): void {
  if (facts.findPool(pool)?.edges.some((edge) => edge.node === node) === true) return;
  throw new Failure("token-invalid", `${node} is no edge of pool ${pool}: probe again`);
}

/** The session's record with what was measured; of two values for a pool the worse. */
export async function learnFrom(
  ports: MeasuringPorts,
  record: SessionRecord,
  measurements: readonly Measurement[],
): Promise<SessionRecord> {
  const { rttMap, probeTrust, ledger, clock, watch, facts } = ports;
  const trustRatio = probeTrust.ratioOf(trustedAs(record));
  const fresh = new Map<string, number>();
  for (const { node, pool, rttMsP95, samplesMs, freeSlots, ageMs, issued } of measurements) {
    watch.answered(node);
    await ledger.probed({ pool, freeSlots, ageMs });
    const believedMs = Math.max(rttMsP95, leastBelievedMs(ports, record, pool));
    fresh.set(pool, Math.max(believedMs, fresh.get(pool) ?? 0));
    // A repeated call teaches nothing twice, and what another replica asked for is recorded there.
    if (issued === undefined || record.measured.get(pool) === believedMs) continue;
    const ends = endsOf(record.client, facts.findPool(pool));
    const sample = { pool, atMs: clock.nowMs(), source: "probe", ends, trustRatio } as const;
    for (const rttMs of samplesMs.slice(0, SAMPLES_RECORDED_MAX)) {
      rttMap.record(record.client.groups, { ...sample, rttMs });
    }
  }
  return { ...record, measured: new Map([...record.measured, ...fresh]) };
}

/**
 * No probe undoes what the session's own connection shows; and of a client whose word was no good no pool is taken to be
 * nearer than others of its group, or its distance, say: by their median, which it cannot move alone.
 */
function leastBelievedMs(
  { rttMap, probeTrust, clock, facts }: MeasuringPorts,
  record: SessionRecord,
  pool: string,
): number {
  const { client, inSession } = record;
  if (inSession?.pool === pool) return inSession.rttMs;
  const place = facts.findPool(pool);
  if (place === undefined || probeTrust.isBelieved(trustedAs(record))) return 0;
  const { source, rttMs, errorMs } = estimateContentRtt(client, place, { map: rttMap, nowMs: clock.nowMs() });
  return source === "history" || errorMs !== undefined ? rttMs : 0;
}
