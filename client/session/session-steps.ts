/** What is done in each phase of a session, and the event that it ends with. */
import { pause } from "../clock.ts";
import { PROBING_MS_MAX, sortByRtt } from "../probe/probe.ts";
import { comingUpOf } from "./coming-up.ts";
import { type ConnectOutcome, type Credential, connectMedia } from "./connect-media.ts";
import { backoffMs, deadlinesFor } from "./deadlines.ts";
import { readEdgePlacement } from "./edge-placement.ts";
import { asClientFailure, kindOfFailure, kindOfFirstFailure, problemOf } from "./refusals.ts";
import { keepRunning, measure } from "./running.ts";
import {
  NOTHING_LOST,
  type Placed,
  returnedFacts,
  type SessionFacts,
  type SessionPorts,
  type Step,
  type StepInput,
} from "./session-ports.ts";
import type { Phase } from "./session-states.ts";

/** Probe answers are good for as long as their tokens; an answer on its way needs some of it. */
const CANDIDATES_LEFT_MS_MIN = 2000;
/** The answer's own life of 30 s, and some of it for the way. A session that runs probes more often. */
const PROBES_FRESH_MS_MAX = 28_000;
/** Times in a row that a placement may be exchanged for another, or a session lost at once, before waiting. */
export const RENEWALS_MAX = 3;
export const QUICK_LOSSES_MAX = 3;
/** Scheduler and edge answer within some round trips: silence for longer is asked about. */
const SILENT_MS = 1000;
/** A longer wish of a server is cut to it: the queue moves. */
const QUEUE_WAIT_SECONDS_MAX = 30;

/** All begins again. */
const NOTHING_TRIED = { retryAtMs: undefined, lostAtMs: undefined, renewals: 0, quickLosses: 0 } as const;

export const STEPS: Readonly<Record<Exclude<Phase, "ended">, (input: StepInput) => Promise<Step>>> = {
  creating: create,
  probing: probe,
  placing: place,
  queued: waitToRetry,
  connecting: connect,
  running: keepRunning,
  resuming: resume,
  renewing: renew,
  requeued: waitToRetry,
  direct: connectDirectly,
  waiting: backOff,
  failed: waitForPerson,
};

async function create(input: StepInput): Promise<Step> {
  const { ports, wish, facts, learn, signal } = input;
  giveUp(input);
  const nowMs = ports.clock.monotonicMs();
  if (facts.interruption === undefined)
    learn({ interruption: { because: "created", sinceMs: nowMs, noticedAtMs: nowMs } });
  const over = new AbortController();
  void endWhereCutOff(ports, over);
  try {
    const asked = ports.api.create(wish, AbortSignal.any([signal, over.signal]));
    const { session, candidates, expiresAtMs } = await asked.finally(() => over.abort());
    const fresh = { session, candidates, candidatesExpireAtMs: expiresAtMs, placement: undefined, probed: [] };
    return { event: "created", learnt: fresh };
  } catch (error) {
    const failure = asClientFailure(error);
    return { event: kindOfFirstFailure(failure), learnt: { problem: problemOf(failure) } };
  }
}

/** What swallows all that is sent is waited for in vain where the page's edge, too, has lost the cloud. */
async function endWhereCutOff({ clock, neighbours }: SessionPorts, call: AbortController): Promise<void> {
  if (!(await pause(clock, SILENT_MS, call.signal))) return;
  if ((await neighbours(deadlinesFor(undefined, 0).measureMs)).length > 0) call.abort();
}

async function probe({ ports, facts }: StepInput): Promise<Step> {
  const probed = await ports.probe(facts.candidates, PROBING_MS_MAX);
  if (probed.length > 0) return { event: "probed", learnt: { probed, probedAtMs: ports.clock.monotonicMs() } };
  const message = `none of ${facts.candidates.length} edges answered within ${PROBING_MS_MAX} ms`;
  return { event: "unreachable", learnt: { problem: { code: "no-edge-answers", message } } };
}

async function place({ ports, facts, signal }: StepInput): Promise<Step> {
  const { session, probed, candidatesExpireAtMs, renewals } = facts;
  const leftMs = candidatesExpireAtMs - ports.clock.nowMs();
  if (session === undefined || leftMs < CANDIDATES_LEFT_MS_MIN) return { event: "stale", learnt: {} };
  try {
    const results = probed.map(({ result }) => result);
    return answered(ports, await ports.api.place(session, results, signal));
  } catch (error) {
    const failure = asClientFailure(error);
    const learnt = { problem: problemOf(failure), renewals: renewals + 1 };
    const kind = kindOfFailure(failure);
    return { event: kind === "stale" && renewals >= RENEWALS_MAX ? "refused" : kind, learnt };
  }
}

function answered(ports: SessionPorts, answer: Awaited<ReturnType<SessionPorts["api"]["place"]>>): Step {
  if (answer.state !== "queued") {
    return { event: "placed", learnt: { placement: answer, problem: undefined, bestAchievableMs: undefined } };
  }
  const waitMs = Math.min(answer.retryAfterSeconds, QUEUE_WAIT_SECONDS_MAX) * 1000;
  const retryAtMs = ports.clock.monotonicMs() + waitMs;
  return { event: "queued", learnt: { retryAtMs, bestAchievableMs: answer.bestAchievableMs } };
}

async function connect(input: StepInput): Promise<Step> {
  const { placement } = input.facts;
  if (placement === undefined) return { event: "refused", learnt: {} };
  const credential = { placement: placement.placement };
  const outcome = await connectWith(input, placement.edges, credential);
  const step = concluded(input, outcome, "refused");
  // A browser is the same at every place.
  const isUnfit = outcome.kind !== "connected" && outcome.failure.code === "browser-unfit";
  return isUnfit ? { ...step, event: "fatal" } : step;
}

async function resume(input: StepInput): Promise<Step> {
  const { ports, facts } = input;
  const { grant, placement, resumeTicket, quickLosses } = facts;
  if (grant === undefined || resumeTicket === undefined || quickLosses > QUICK_LOSSES_MAX)
    return { event: "refused", learnt: {} };
  const edges = unique([grant.edge, ...(placement?.edges ?? [])]);
  // Beside the try: if a silent pool takes its time, what is near by then is known. A pool that says no is not waited with.
  let measured: Partial<SessionFacts> = {};
  void measure(ports, deadlinesFor(facts.lostAtMs, ports.clock.monotonicMs()).measureMs).then((learnt) => {
    measured = learnt;
  });
  const outcome = await connectWith(input, edges, { resume: resumeTicket });
  const step = concluded(input, outcome, "refused");
  return step.event === "connected" ? step : { ...step, learnt: { ...step.learnt, ...measured } };
}

async function renew(input: StepInput): Promise<Step> {
  const { ports, facts, signal } = input;
  const { session, placement, renewals, lostAtMs } = facts;
  if (session === undefined || placement === undefined) return { event: "stale", learnt: {} };
  if (renewals >= RENEWALS_MAX) return { event: "refused", learnt: {} };
  const { renewMs } = deadlinesFor(lostAtMs, ports.clock.monotonicMs());
  const reason = lostAtMs === undefined ? "refused" : "pool-lost";
  try {
    const wish = { placement: placement.placement, reason, results: freshResults(facts, ports.clock) } as const;
    const answer = await ports.api.renew(session, wish, ports.clock.deadline(renewMs, signal));
    if (answer === undefined) return { event: "refused", learnt: { renewals: renewals + 1 } };
    const step = answered(ports, answer);
    return step.event === "placed" ? { ...step, learnt: { ...step.learnt, renewals: renewals + 1 } } : step;
  } catch (error) {
    const failure = asClientFailure(error);
    const kind = kindOfFailure(failure);
    // A no that stays ends the session.
    if (kind === "fatal") giveUp(input);
    return { event: kind === "fatal" ? "refused" : kind, learnt: { problem: problemOf(failure) } };
  }
}

/** What is older the scheduler does not believe: it knows it from the last renewal, or goes by what it knows of others. */
function freshResults({ probed, probedAtMs }: SessionFacts, clock: SessionPorts["clock"]) {
  return clock.monotonicMs() - probedAtMs > PROBES_FRESH_MS_MAX ? [] : probed.map(({ result }) => result);
}

async function connectDirectly(input: StepInput): Promise<Step> {
  const { ports, facts } = input;
  const known = [...sortByRtt(facts.probed), ...(facts.placement?.edges ?? []), facts.grant?.edge, ports.pageEdge];
  const edges = unique(known.filter((edge) => edge !== undefined));
  const credential = { appToken: ports.appToken };
  // Beside the try, as in `resume`: a pool that has no slot, or renders nothing, knows others.
  const asking = ports.neighbours(deadlinesFor(facts.lostAtMs, ports.clock.monotonicMs()).measureMs);
  let outcome = await connectWith(input, edges, credential);
  if (outcome.kind !== "connected") {
    const others = (await asking).filter((edge) => !edges.includes(edge));
    if (others.length > 0) outcome = await connectWith(input, others, credential);
  }
  const step = concluded(input, outcome, "unreachable");
  if (outcome.kind !== "connected") return step;
  const { edge, connected } = outcome.grant;
  // A scheduler that is back is shown what the edge has signed.
  const placement = connected.placement === undefined ? undefined : readEdgePlacement(connected.placement, edge);
  return { ...step, learnt: { ...step.learnt, placement: placement && { ...iceServersOf(facts), ...placement } } };
}

/** An edge knows none: those that a scheduler handed out are still good for a while. */
function iceServersOf({ placement }: SessionFacts): Pick<Placed, "iceServers"> {
  return placement?.iceServers === undefined ? {} : { iceServers: placement.iceServers };
}

function connectWith(
  { ports, facts, signal }: StepInput,
  edges: readonly string[],
  credential: Credential,
): Promise<ConnectOutcome> {
  const worked = facts.grant?.transport;
  const transports = facts.lostAtMs === undefined || worked === undefined ? ports.media.kinds : [worked];
  const { connectMs: withinMs, pingMs } = deadlinesFor(facts.lostAtMs, ports.clock.monotonicMs());
  const { iceServers = [] } = facts.placement ?? {};
  return connectMedia(ports, { edges, credential, iceServers, transports, withinMs, pingMs, signal });
}

function concluded(
  { ports, facts, signal }: StepInput,
  outcome: ConnectOutcome,
  otherwise: "refused" | "unreachable",
): Step {
  if (outcome.kind !== "connected") {
    const event = outcome.kind === "unreachable" || outcome.kind === "refused" ? outcome.kind : otherwise;
    return { event, learnt: { problem: problemOf(outcome.failure) } };
  }
  const { grant } = outcome;
  if (signal.aborted || facts.grant?.link.isLost === false) {
    grant.link.close("the client has left, or the link before has returned");
    return { event: "media-returned", learnt: returnedFacts(facts, ports.clock.monotonicMs()) };
  }
  grant.link.show();
  facts.grant?.link.close("the session goes on elsewhere");
  const { interruption } = facts;
  const nowMs = ports.clock.monotonicMs();
  const learnt = {
    ...NOTHING_LOST,
    ...{ grant, session: grant.connected.session, resumeTicket: grant.connected.resume, resumeTicketAtMs: nowMs },
    ...(interruption && { comingUp: comingUpOf(interruption, grant.times) }),
    runningSinceMs: nowMs,
  };
  return { event: "connected", learnt };
}

async function waitToRetry({ ports, facts, signal }: StepInput): Promise<Step> {
  await pause(ports.clock, Math.max(0, (facts.retryAtMs ?? 0) - ports.clock.monotonicMs()), signal);
  return { event: "retry", learnt: { retryAtMs: undefined } };
}

/** Then all begins again, unless pictures return by a link that is only silent: until then it has its slot. */
async function backOff(input: StepInput): Promise<Step> {
  const { ports, facts, learn, signal } = input;
  if (facts.grant?.link.isOver !== false) giveUp(input);
  const failures = facts.failures + 1;
  const waitMs = backoffMs(failures, ports.random.ratio());
  learn({ retryAtMs: ports.clock.monotonicMs() + waitMs });
  await Promise.race([pause(ports.clock, waitMs, signal), ports.retryAsked()]);
  return { event: "retry", learnt: { ...NOTHING_TRIED, failures } };
}

async function waitForPerson(input: StepInput): Promise<Step> {
  giveUp(input);
  await input.ports.retryAsked();
  return { event: "retry", learnt: { ...NOTHING_TRIED, failures: 0 } };
}

/** Whoever still holds a slot of the session, or a promise for one, is told; nobody is waited for. */
function giveUp({ ports, facts: { session, grant }, learn }: StepInput): void {
  if (session === undefined && grant === undefined) return;
  grant?.link.close("the session begins again");
  if (session !== undefined) void ports.api.end(session, grant?.edge);
  learn({ session: undefined, placement: undefined, grant: undefined, resumeTicket: undefined });
}

function unique(edges: readonly string[]): readonly string[] {
  return [...new Set(edges)];
}
