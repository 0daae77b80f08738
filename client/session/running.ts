/** A session that runs: renews its ticket, reports, looks for a better place, and notices when media are lost. */
import { pause } from "../clock.ts";
import { explainLoss, type MediaLoss } from "../media/media-port.ts";
import { connectMedia } from "./connect-media.ts";
import { qualityOf } from "./quality.ts";
import { attempt } from "./refusals.ts";
import type { Grant, Placed, SessionFacts, SessionPorts, Step, StepInput } from "./session-ports.ts";
import { createSignalling, type Signalling } from "./signalling.ts";

/** Less than half of a ticket's two minutes, so that one lost renewal costs nothing. */
export const TICKET_INTERVAL_MS = 45_000;
const TICKET_RETRY_MS = 5000;
/** After a watch that failed, was wrong, or was answered sooner than edges that can wait answer. */
const WATCH_RETRY_MS = 5_000;
/** A renewal that changes nothing costs the scheduler one signature check. */
export const PROMOTION_INTERVAL_MS = 20_000;
const PROMOTION_CONNECT_MS = 5000;
const PROMOTION_MEASURE_MS = 1500;
/** What is lost sooner than this has not run: such losses are counted, and too many end in waiting. */
export const STABLE_MS = 5000;

type Found =
  | { readonly kind: "lost"; readonly loss: MediaLoss }
  | { readonly kind: "promoted"; readonly grant: Grant; readonly placement: Placed }
  | { readonly kind: "over" };

export async function keepRunning(input: StepInput): Promise<Step> {
  const { ports, facts, signal } = input;
  const { grant } = facts;
  if (grant === undefined) return { event: "media-lost", learnt: {} };
  const over = new AbortController();
  const whileRunning = AbortSignal.any([signal, over.signal]);
  const lost = grant.link.lost.then((loss): Found => ({ kind: "lost", loss }));
  const signalling = createSignalling(input, grant);
  const duties = [
    keepTicket(input, signalling, whileRunning),
    reportQuality(input, { grant, signalling }, whileRunning),
    watchLease(input, { grant, signalling }, whileRunning),
  ];
  const found = await Promise.race([lost, seekBetter(input, whileRunning), failing(duties)]);
  over.abort(new DOMException("the session runs no more, or elsewhere", "AbortError"));
  await Promise.allSettled(duties);
  if (found.kind === "promoted" && signal.aborted) {
    found.grant.link.close("client left");
    return { event: "left", learnt: {} };
  }
  switch (found.kind) {
    case "over":
      return { event: "left", learnt: {} };
    case "promoted": {
      found.grant.link.show();
      grant.link.close("promoted to a better place");
      const { connected } = found.grant;
      return {
        event: "promoted",
        learnt: {
          ...{ grant: found.grant, placement: found.placement },
          ...{ resumeTicket: connected.resume, resumeTicketAtMs: ports.clock.monotonicMs() },
        },
      };
    }
    case "lost":
      return { event: "media-lost", learnt: lossOf(facts, grant, found.loss, ports.clock.monotonicMs()) };
  }
}

/** Rejects when a duty does, which is a bug; resolves never before them. */
async function failing(duties: readonly Promise<void>[]): Promise<Found> {
  await Promise.all(duties);
  return { kind: "over" };
}

function lossOf(facts: SessionFacts, { link }: Grant, loss: MediaLoss, nowMs: number): Partial<SessionFacts> {
  const wasStable = nowMs - (facts.runningSinceMs ?? nowMs) >= STABLE_MS;
  return {
    lostAtMs: nowMs,
    interruption: { because: "lost", sinceMs: link.lastFrameAtMs(), noticedAtMs: nowMs },
    problem: { code: "media-lost", message: explainLoss(loss) },
    ...(wasStable ? { quickLosses: 0, renewals: 0, failures: 0 } : { quickLosses: facts.quickLosses + 1 }),
  };
}

/** A session that is interrupted again and again has as fresh a ticket as another. */
async function keepTicket({ ports, facts }: StepInput, signalling: Signalling, signal: AbortSignal): Promise<void> {
  let waitMs = Math.max(0, facts.resumeTicketAtMs + TICKET_INTERVAL_MS - ports.clock.monotonicMs());
  while (await pause(ports.clock, waitMs, signal)) {
    waitMs = (await signalling.renewTicket(signal)) ? TICKET_INTERVAL_MS : TICKET_RETRY_MS;
  }
}

interface Place {
  readonly grant: Grant;
  readonly signalling: Signalling;
}

/** What kills an agent ends its connection to the edge at once; what kills the edge ends this one, and pictures go on. */
async function watchLease(
  { ports: { api, clock } }: StepInput,
  { grant: { connected, link }, signalling }: Place,
  signal: AbortSignal,
): Promise<void> {
  let movedAtMs = Number.NEGATIVE_INFINITY;
  while (!signal.aborted) {
    const askedAtMs = clock.monotonicMs();
    const answer = await attempt(api.watch(signalling.edge, connected.session, signal));
    if (signal.aborted) return;
    const nowMs = clock.monotonicMs();
    if (answer?.state === "held" && nowMs - askedAtMs >= WATCH_RETRY_MS) continue;
    if (answer?.state === "ended") return link.lose(answer.reason);
    if (answer?.state === "lost") await link.suspect(answer.reason);
    if (answer === undefined && nowMs - movedAtMs >= WATCH_RETRY_MS) {
      movedAtMs = nowMs;
      if (await signalling.move(signal)) continue;
    }
    // Nobody of the pool has it, its edge knows no watches, or has lost the agent that goes on.
    if (!(await pause(clock, WATCH_RETRY_MS, signal))) return;
  }
}

async function reportQuality(
  { ports }: StepInput,
  { grant: { connected, link }, signalling }: Place,
  signal: AbortSignal,
): Promise<void> {
  while (await pause(ports.clock, connected.reportEverySeconds * 1000, signal)) {
    const quality = qualityOf(link.statistics());
    if (quality !== undefined) await attempt(ports.api.report(signalling.edge, connected.session, quality, signal));
  }
}

/** Resolves when the session runs at a better place as well, or is over. */
async function seekBetter({ ports, facts, learn }: StepInput, signal: AbortSignal): Promise<Found> {
  let waitMs = PROMOTION_INTERVAL_MS;
  while (await pause(ports.clock, waitMs, signal)) {
    waitMs = PROMOTION_INTERVAL_MS;
    const { session, placement, grant } = facts;
    if (session === undefined || placement === undefined || grant === undefined) continue;
    const learnt = await measure(ports, PROMOTION_MEASURE_MS);
    if (signal.aborted) break;
    learn(learnt);
    const results = (learnt.probed ?? []).map(({ result }) => result);
    const wish = { placement: placement.placement, reason: "promotion", results } as const;
    const answer = await attempt(ports.api.renew(session, wish, signal));
    if (answer === undefined) continue;
    if (answer.state === "queued") {
      // It is to move, and waits its turn.
      waitMs = Math.min(answer.retryAfterSeconds * 1000, PROMOTION_INTERVAL_MS);
      continue;
    }
    const outcome = await connectMedia(ports, {
      edges: answer.edges,
      credential: { placement: answer.placement },
      iceServers: answer.iceServers ?? [],
      transports: [grant.transport],
      withinMs: PROMOTION_CONNECT_MS,
      pingMs: PROMOTION_CONNECT_MS,
      signal,
    });
    if (outcome.kind !== "connected") continue;
    if (!signal.aborted) return { kind: "promoted", grant: outcome.grant, placement: answer };
    outcome.grant.link.close("the session has been left, or is lost where it ran");
  }
  return { kind: "over" };
}

/** Nothing where nobody was measured: what was known is better. */
export async function measure(ports: SessionPorts, withinMs: number): Promise<Partial<SessionFacts>> {
  const probed = await ports.measure(withinMs);
  return probed.length === 0 ? {} : { probed, probedAtMs: ports.clock.monotonicMs() };
}
