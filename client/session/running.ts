/** A session that runs: renews its ticket, reports, looks for a better place, and notices when media are lost. */
import { pause } from "../clock.ts";
import { explainLoss, type MediaLoss } from "../media/media-port.ts";
import { connectMedia } from "./connect-media.ts";
import { qualityOf } from "./quality.ts";
import { asClientFailure } from "./refusals.ts";
import type { Grant, Placed, SessionFacts, Step, StepInput } from "./session-ports.ts";

/** Less than half of a ticket's two minutes, so that one lost renewal costs nothing. */
export const TICKET_INTERVAL_MS = 45_000;
const TICKET_RETRY_MS = 5000;
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
  const duties = [keepTicket(input, grant, whileRunning), reportQuality(input, grant, whileRunning)];
  const found = await Promise.race([lost, seekBetter(input, whileRunning), failing(duties)]);
  over.abort(new DOMException("the session runs no more, or elsewhere", "AbortError"));
  await Promise.allSettled(duties);
  switch (found.kind) {
    case "over":
      return { event: "left", learnt: {} };
    case "promoted": {
      found.grant.link.show();
      grant.link.close("promoted to a better place");
      const { connected } = found.grant;
      return {
        event: "promoted",
        learnt: { grant: found.grant, placement: found.placement, resumeTicket: connected.resume },
      };
    }
    case "lost":
      grant.link.close("media lost");
      return { event: "media-lost", learnt: lossOf(facts, found.loss, ports.clock.monotonicMs()) };
  }
}

/** Rejects when a duty does, which is a bug; resolves never before them. */
async function failing(duties: readonly Promise<void>[]): Promise<Found> {
  await Promise.all(duties);
  return { kind: "over" };
}

function lossOf(facts: SessionFacts, loss: MediaLoss, nowMs: number): Partial<SessionFacts> {
  const wasStable = nowMs - (facts.runningSinceMs ?? nowMs) >= STABLE_MS;
  return {
    lostAtMs: nowMs,
    problem: { code: "media-lost", message: explainLoss(loss) },
    ...(wasStable ? { quickLosses: 0, renewals: 0, failures: 0 } : { quickLosses: facts.quickLosses + 1 }),
  };
}

async function keepTicket({ ports, learn }: StepInput, { edge, connected }: Grant, signal: AbortSignal): Promise<void> {
  let waitMs = TICKET_INTERVAL_MS;
  while (await pause(ports.clock, waitMs, signal)) {
    const resumeTicket = await attempt(ports.api.renewTicket(edge, connected.session, signal));
    if (resumeTicket !== undefined) learn({ resumeTicket });
    waitMs = resumeTicket === undefined ? TICKET_RETRY_MS : TICKET_INTERVAL_MS;
  }
}

async function reportQuality(
  { ports }: StepInput,
  { edge, connected, link }: Grant,
  signal: AbortSignal,
): Promise<void> {
  while (await pause(ports.clock, connected.reportEverySeconds * 1000, signal)) {
    const quality = qualityOf(link.statistics());
    if (quality !== undefined) await attempt(ports.api.report(edge, connected.session, quality, signal));
  }
}

/** Resolves when the session runs at a better place as well, or is over. */
async function seekBetter({ ports, facts }: StepInput, signal: AbortSignal): Promise<Found> {
  let waitMs = PROMOTION_INTERVAL_MS;
  while (await pause(ports.clock, waitMs, signal)) {
    waitMs = PROMOTION_INTERVAL_MS;
    const { session, placement, grant } = facts;
    if (session === undefined || placement === undefined || grant === undefined) continue;
    const results = (await ports.measure(PROMOTION_MEASURE_MS)).map(({ result }) => result);
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
      transports: [grant.transport],
      withinMs: PROMOTION_CONNECT_MS,
      pingMs: PROMOTION_CONNECT_MS,
      signal,
    });
    if (outcome.kind === "connected") return { kind: "promoted", grant: outcome.grant, placement: answer };
  }
  return { kind: "over" };
}

/** `undefined` where the outside failed: what runs, runs on without it. */
async function attempt<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    asClientFailure(error);
    return undefined;
  }
}
