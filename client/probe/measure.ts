/** What steering knows of the edges of a site: measured where it gives probe tokens, by their order where it cannot. */
import type { ProbeTarget } from "#contracts/operator-api/sessions.ts";
import type { ClientClock } from "../clock.ts";
import { ClientFailure } from "../failure.ts";
import { isRecord, requestJson } from "../http.ts";
import { type ProbedEdge, probeEdges } from "./probe.ts";
import type { UdpSampler } from "./udp-target.ts";

export interface Measuring {
  readonly scheduler: string;
  /** Without one steering has nothing to say. */
  readonly site: string | undefined;
  readonly clock: ClientClock;
  /** For both together. */
  readonly withinMs: number;
  readonly byUdp?: UdpSampler | undefined;
}

/** Never rejects for what the outside does. */
export async function measureBySteering({
  scheduler,
  site,
  clock,
  withinMs,
  byUdp,
}: Measuring): Promise<readonly ProbedEdge[]> {
  if (site === undefined) return [];
  const signal = clock.deadline(withinMs);
  try {
    const url = `${scheduler}/v1/steer?site=${encodeURIComponent(site)}`;
    const targets = probeTargetsOf(await requestJson({ method: "GET", url, clock, signal }));
    return await probeEdges(targets, { clock, withinMs, signal, byUdp });
  } catch (error) {
    if (error instanceof ClientFailure) return [];
    throw error;
  }
}

export interface EdgeSteering extends Pick<Measuring, "site" | "clock" | "withinMs"> {
  /** That served the page. */
  readonly edge: string;
}

/** Edges that one which is cut off would send a user to, best first. Never rejects for what the outside does. */
export async function edgesBySteering({ edge, site, clock, withinMs }: EdgeSteering): Promise<readonly string[]> {
  if (site === undefined) return [];
  try {
    const url = `${edge}/.perigee/v1/steer?site=${encodeURIComponent(site)}`;
    const answer = await requestJson({ method: "GET", url, clock, signal: clock.deadline(withinMs) });
    const edges = isRecord(answer) && Array.isArray(answer["edges"]) ? answer["edges"] : [];
    return edges.flatMap((each: unknown) => (isRecord(each) && typeof each["url"] === "string" ? [each["url"]] : []));
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
