/** Measures what is near now: asks steering for probe tokens, then probes; nothing where either is not there in time. */
import type { ProbeTarget } from "#contracts/operator-api/sessions.ts";
import type { ClientClock } from "../clock.ts";
import { ClientFailure } from "../failure.ts";
import { isRecord, requestJson } from "../http.ts";
import { type ProbedEdge, probeEdges } from "./probe.ts";

export interface Measuring {
  readonly scheduler: string;
  /** Without one steering has nothing to say. */
  readonly site: string | undefined;
  readonly clock: ClientClock;
  /** For both together. */
  readonly withinMs: number;
}

/** Never rejects for what the outside does. */
export async function measureBySteering({
  scheduler,
  site,
  clock,
  withinMs,
}: Measuring): Promise<readonly ProbedEdge[]> {
  if (site === undefined) return [];
  const signal = clock.deadline(withinMs);
  try {
    const url = `${scheduler}/v1/steer?site=${encodeURIComponent(site)}`;
    const targets = probeTargetsOf(await requestJson({ method: "GET", url, clock, signal }));
    return await probeEdges(targets, { clock, withinMs, signal });
  } catch (error) {
    if (error instanceof ClientFailure) return [];
    throw error;
  }
}

function probeTargetsOf(answer: unknown): readonly ProbeTarget[] {
  const probes = isRecord(answer) && Array.isArray(answer["probes"]) ? answer["probes"] : [];
  return probes.filter(isProbeTarget);
}

function isProbeTarget(value: unknown): value is ProbeTarget {
  return isRecord(value) && ["node", "pool", "url", "token"].every((key) => typeof value[key] === "string");
}
