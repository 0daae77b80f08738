/**
 * Measures the round trip to candidate edges, all at once: one request that opens the connection and gets the edge's word,
 * then three samples, over UDP where edge, browser and network let it, else as further requests. Nobody says that a
 * network lets no UDP pass: where no sample comes soon, requests begin beside it.
 */
import type { ProbeResult, ProbeTarget } from "#contracts/operator-api/sessions.ts";
import { type ClientClock, pause } from "../clock.ts";
import { isRecord } from "../http.ts";
import { isUdpProbeTarget, type UdpProbeTarget, type UdpSampler } from "./udp-target.ts";

export const SAMPLES = 3;
/** By then a near edge has answered over UDP; to a far one requests go beside it, which cost its user nothing. */
export const UDP_HEAD_START_MS = 50;
/** For all edges' samples together, once one has answered: what has none by then is far. */
export const SAMPLING_MS_MAX = 150;
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
  /** Not given where there is none: then samples are requests. */
  readonly byUdp?: UdpSampler | undefined;
}

/**
 * The edges that were measured in time, in the order of the targets: those that have a sample 150 ms after the first one
 * answered, or where none has, all that have one within the whole time.
 */
export async function probeEdges(targets: readonly ProbeTarget[], probing: Probing): Promise<readonly ProbedEdge[]> {
  const { clock, withinMs } = probing;
  const signal = clock.deadline(withinMs, probing.signal);
  // The browser keeps 250 entries and then no more.
  performance.clearResourceTimings();
  const hurry = new AbortController();
  const hurried = AbortSignal.any([signal, hurry.signal]);
  let isAnswered = false;
  const onAnswer = (): void => {
    if (isAnswered) return;
    isAnswered = true;
    const over = clock.deadline(SAMPLING_MS_MAX, signal);
    const end = (): void => hurry.abort(over.reason);
    if (over.aborted) end();
    else over.addEventListener("abort", end, { once: true });
  };
  const probed = await probeAll(targets, { ...probing, signal: hurried, onAnswer });
  return probed.length > 0 || signal.aborted ? probed : probeAll(targets, { ...probing, signal });
}

interface Round extends Pick<Probing, "clock" | "byUdp"> {
  readonly signal: AbortSignal;
  /** An edge has answered for the first time. */
  readonly onAnswer?: () => void;
}

async function probeAll(targets: readonly ProbeTarget[], round: Round): Promise<readonly ProbedEdge[]> {
  const outcomes = await Promise.allSettled(targets.map((target) => probeEdge(target, round)));
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

/** Rejects where there is no sample. */
async function probeEdge({ url, token }: ProbeTarget, { clock, byUdp, signal, onAnswer }: Round): Promise<ProbeResult> {
  const target = `${url}/.perigee/v1/probe?token=${encodeURIComponent(token)}`;
  const { answer, udp } = await fetchAnswer(target, signal);
  onAnswer?.();
  if (udp === undefined || byUdp === undefined) return { answer, rttMs: await sampleByRequests(target, clock, signal) };
  const [over, passes] = [new AbortController(), new AbortController()];
  const within = AbortSignal.any([signal, over.signal]);
  const waiting = AbortSignal.any([within, passes.signal]);
  const requests = async (): Promise<readonly number[]> => {
    if (!(await pause(clock, UDP_HEAD_START_MS, waiting)) || waiting.aborted) return [];
    const rttMs = await sampleByRequests(target, clock, waiting);
    return passes.signal.aborted ? [] : rttMs;
  };
  const checks = byUdp(udp, { count: SAMPLES, clock, signal: within, onFirst: () => passes.abort() });
  try {
    return { answer, rttMs: [...(await Promise.any([samplesOf(checks), samplesOf(requests())]))] };
  } finally {
    over.abort();
  }
}

async function samplesOf(sampled: Promise<readonly number[]>): Promise<readonly number[]> {
  const rttMs = await sampled;
  if (rttMs.length === 0) throw new TypeError("no round trip was measured");
  return rttMs;
}

/** As many as there are until the signal, one at the least. */
async function sampleByRequests(target: string, clock: ClientClock, signal: AbortSignal): Promise<number[]> {
  const rttMs: number[] = [];
  while (rttMs.length < SAMPLES) {
    const startMs = clock.monotonicMs();
    try {
      await fetchAnswer(target, signal);
    } catch (error) {
      if (rttMs.length > 0) break;
      throw error;
    }
    rttMs.push(accountedMs(target, startMs) ?? clock.monotonicMs() - startMs);
  }
  return rttMs;
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

interface EdgeAnswer {
  readonly answer: string;
  /** Where the edge can be measured over UDP. */
  readonly udp: UdpProbeTarget | undefined;
}

async function fetchAnswer(url: string, signal: AbortSignal): Promise<EdgeAnswer> {
  const response = await fetch(url, { signal, cache: "no-store", credentials: "omit" });
  const body: unknown = await response.json();
  if (!response.ok || !isRecord(body) || typeof body["answer"] !== "string")
    throw new TypeError(`${url} gave no probe answer`);
  return { answer: body["answer"], udp: isUdpProbeTarget(body["udp"]) ? body["udp"] : undefined };
}
