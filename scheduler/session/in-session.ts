/** Takes what the connection of a running session shows of its round trip: it corrects what the client said of its probes. */
import type { AgentStatus } from "#domain/fleet/node.ts";
import type { ProbeTrust } from "#domain/latency/probe-trust.ts";
import type { RttMap } from "#domain/latency/rtt-map.ts";
import type { Clock } from "#platform/clock.ts";
import { endsOf } from "../placement/candidates.ts";
import type { PoolFacts } from "../placement/pool-facts.ts";
import type { SessionRecord, SessionTable } from "./session-table.ts";

/** A session tells its group's history no more often: one that runs for hours is one among many. */
const SAMPLE_MS_MIN = 60_000;

export interface InSessionPorts {
  readonly rttMap: RttMap;
  readonly probeTrust: ProbeTrust;
  readonly clock: Clock;
  readonly facts: { findPool(pool: string): PoolFacts | undefined };
}

/** What one connection has shown. */
export interface InSessionRtt {
  readonly pool: string;
  /** Of the placement that it is of. */
  readonly attempt: number;
  readonly rttMs: number;
  /** When the history of the client's group was told last. */
  readonly toldAtMs: number;
}

/** Of sessions that this replica knows; of one that was placed anew only the newest placement counts. */
export function takeRunning(
  ports: InSessionPorts,
  table: SessionTable,
  { pool, agents }: { readonly pool: string; readonly agents: readonly AgentStatus[] },
): void {
  for (const { session, attempt, rttMs } of agents.flatMap(({ sessions }) => sessions)) {
    const record = rttMs > 0 ? table.find(session) : undefined;
    if (record === undefined || record.attempt !== attempt) continue;
    table.update(correct(ports, record, { pool, attempt, rttMs }));
  }
}

function correct(
  { rttMap, probeTrust, clock, facts }: InSessionPorts,
  record: SessionRecord,
  { pool, attempt, rttMs }: Omit<InSessionRtt, "toldAtMs">,
): SessionRecord {
  const { client, inSession, measured } = record;
  const before = inSession?.pool === pool && inSession.attempt === attempt ? inSession : undefined;
  const probedMs = measured.get(pool);
  if (before === undefined && probedMs !== undefined) {
    probeTrust.judge(trustedAs(record), { probedMs, sessionMs: rttMs });
  }
  const nowMs = clock.nowMs();
  const isDue = before === undefined || nowMs - before.toldAtMs >= SAMPLE_MS_MIN;
  if (isDue) {
    const ends = endsOf(client, facts.findPool(pool));
    rttMap.record(client.groups, { pool, rttMs, atMs: nowMs, source: "session", ends });
  }
  const toldAtMs = isDue ? nowMs : before.toldAtMs;
  const corrected = new Map(measured).set(pool, rttMs);
  return { ...record, measured: corrected, inSession: { pool, attempt, rttMs, toldAtMs } };
}

/** Its network rather than its key, which a liar makes anew. */
export function trustedAs({ client, thumbprint }: Pick<SessionRecord, "client" | "thumbprint">): string {
  return client.groups[0] ?? thumbprint;
}
