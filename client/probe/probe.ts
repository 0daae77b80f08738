/** Measures the round trip to candidate edges: one request that opens the connection, then three samples, all edges at once. */
import type { ProbeResult, ProbeTarget } from "#contracts/operator-api/sessions.ts";
import type { ClientClock } from "../clock.ts";
import { isRecord } from "../http.ts";

export const SAMPLES = 3;
/** For all candidates together, opening connections included: an edge that is slower than this is no candidate. */
export const PROBING_MS_MAX = 1500;

export interface ProbedEdge {
  readonly target: ProbeTarget;
  readonly result: ProbeResult;
}

export interface Probing {
  readonly clock: ClientClock;
  readonly withinMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** The edges that answered in time, in the order of the targets. */
export async function probeEdges(targets: readonly ProbeTarget[], probing: Probing): Promise<readonly ProbedEdge[]> {
  const signal = probing.clock.deadline(probing.withinMs, probing.signal);
  // The browser keeps 250 entries and then no more.
  performance.clearResourceTimings();
  const outcomes = await Promise.allSettled(targets.map((target) => probeEdge(target, probing.clock, signal)));
  return outcomes.flatMap((outcome, at) => {
    const target = targets[at];
    return outcome.status === "fulfilled" && target !== undefined ? [{ target, result: outcome.value }] : [];
  });
}

/** URLs of edges, the nearest first, by the smallest round trip of each: the others hold waiting that is not distance. */
export function sortByRtt(probed: readonly ProbedEdge[]): readonly string[] {
  const rttOf = ({ result }: ProbedEdge): number => Math.min(...result.rttMs);
  return probed.toSorted((a, b) => rttOf(a) - rttOf(b)).map(({ target }) => target.url);
}

/** Whether it answers at all. Never rejects. */
export async function pingEdge(edge: string, signal: AbortSignal): Promise<boolean> {
  try {
    const { ok } = await fetch(`${edge}/.perigee/v1/ping`, { signal, cache: "no-store", credentials: "omit" });
    return ok;
  } catch {
    // A fetch that fails or is aborted: there is nobody, or not in time.
    return false;
  }
}

async function probeEdge({ url, token }: ProbeTarget, clock: ClientClock, signal: AbortSignal): Promise<ProbeResult> {
  const target = `${url}/.perigee/v1/probe?token=${encodeURIComponent(token)}`;
  const answer = await fetchAnswer(target, signal);
  const rttMs: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const startMs = clock.monotonicMs();
    await fetchAnswer(target, signal);
    rttMs.push(accountedMs(target, startMs) ?? clock.monotonicMs() - startMs);
  }
  return { answer, rttMs };
}

/**
 * From the request's first byte to the answer's (Resource Timing, which the edge allows): what a busy page waits for its
 * own turn is no distance. `undefined` where the browser does not tell.
 */
function accountedMs(url: string, sinceMs: number): number | undefined {
  const entry = performance.getEntriesByName(url, "resource").at(-1);
  if (entry === undefined || entry.startTime < sinceMs) return undefined;
  // `in`, since Node's own type of an entry, which tests compile with, lacks them.
  const requestStart = "requestStart" in entry ? entry.requestStart : undefined;
  const responseStart = "responseStart" in entry ? entry.responseStart : undefined;
  if (typeof requestStart !== "number" || typeof responseStart !== "number") return undefined;
  return requestStart > 0 && responseStart >= requestStart ? responseStart - requestStart : undefined;
}

async function fetchAnswer(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { signal, cache: "no-store", credentials: "omit" });
  const body: unknown = await response.json();
  if (!response.ok || !isRecord(body) || typeof body["answer"] !== "string")
    throw new TypeError(`${url} gave no probe answer`);
  return body["answer"];
}
