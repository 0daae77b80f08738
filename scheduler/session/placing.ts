/** Places a session: asks the ledger, decides, reserves, signs, and keeps the explanation. */
import type { PlacementAnswer } from "#contracts/operator-api/sessions.ts";
import {
  type BudgetClaim,
  PLACEMENT_LIFETIME_SECONDS,
  type PlacementClaims,
  TOKEN_TYPES,
} from "#contracts/tokens/claims.ts";
import { Failure } from "#domain/failure.ts";
import type { Coordinates } from "#domain/geography.ts";
import type { DeviceTimes } from "#domain/latency/budget.ts";
import { listFitting } from "#domain/placement/explain.ts";
import { crowded, rulesWithSpread } from "#domain/placement/policy-limits.ts";
import type { AppliedPolicy } from "#domain/placement/policy-selection.ts";
import type { Fit } from "#domain/placement/stampede.ts";
import type { Tier } from "#domain/policy/placement-policy.ts";
import type { RenderAppSpec, RenderClass } from "#domain/session/render-app.ts";
import type { Clock } from "#platform/clock.ts";
import type { IceServers } from "#platform/ice/ice-servers.ts";
import { signToken } from "#platform/identity/tokens.ts";
import type { Random } from "#platform/random.ts";
import type { ExplainStore, RecordedAsker, RecordedOutcome, SessionDecisionRecord } from "../explain/explain-store.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { type ConsideredFacts, makeCandidate, type RttFact } from "../placement/candidates.ts";
import { listOpenEdges, type PoolFacts } from "../placement/pool-facts.ts";
import {
  type ClassCandidates,
  decideSession,
  type SessionDecision,
  type SessionOutcome,
} from "../placement/session-decision.ts";
import type { DemandReports } from "../pricing/demand-counter.ts";
import type { PriceSource } from "../pricing/price-source.ts";
import type { MoveRefusal } from "./move-limits.ts";
import type { SigningIdentity } from "./probe-tokens.ts";
import { reportWish } from "./wanting.ts";
import { findWithholding, type Withholding } from "./withholding.ts";

/** Two sessions may want one slot; who loses so often meets a crowd and had better come back. */
const RESERVE_TRIES_MAX = 3;
/** A queued client asks again after this: a slot frees when a session ends, and a report of it takes some seconds. */
const QUEUE_RETRY_SECONDS = 3;
const DECISION_ID_BYTES = 9;
/** What the claims' schema admits. */
const BUDGET_PART_MS_MAX = 60_000;

export interface PlacingPorts {
  readonly ledger: Ledger;
  readonly identity: SigningIdentity;
  readonly explain: ExplainStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly prices: PriceSource;
  readonly wishes: DemandReports;
  readonly bundles: { missingMs(pool: string, site: string): number };
  /** That clients are handed. */
  readonly iceServers?: IceServers;
}

export interface ConsideredPool {
  readonly pool: PoolFacts;
  readonly rtt: RttFact;
  /** False where the client was asked to probe it and brought no answer. */
  readonly answered: boolean;
}

export interface PlacingRequest {
  readonly session: string;
  /** Of the placement to be issued. */
  readonly attempt: number;
  readonly app: { readonly name: string; readonly spec: RenderAppSpec };
  readonly tier: Tier;
  readonly tenant?: string | undefined;
  readonly thumbprint: string;
  readonly device: DeviceTimes;
  readonly appSessionsMax: number;
  readonly policy: AppliedPolicy;
  /** In order of preference. */
  readonly classes: readonly RenderClass[];
  readonly considered: readonly ConsideredPool[];
  /** All pools: what is free and what runs beside those considered, where the policy asks. */
  readonly fleet?: readonly PoolFacts[];
  /** Where it goes on if nothing takes it; undefined where it runs nowhere. */
  readonly running: { readonly pool: string; readonly attempt: number } | undefined;
  /** Why it stays although that pool is better; undefined where it may go there. */
  readonly findHold?: ((pool: string) => MoveRefusal | undefined) | undefined;
  /** Pools whose slots others need more that are placed with it. */
  readonly leftToOthers?: ReadonlySet<string> | undefined;
  /** Where it runs and may be chosen again. */
  readonly currentPool: string | undefined;
  /** Why it is asked for: `new` or a reason of renewal. */
  readonly because: string;
  readonly client: string;
  readonly asker: RecordedAsker;
  /** Of the client, from the finest to the coarsest. */
  readonly groups: readonly string[];
  /** Undefined where the client's place is unknown. */
  readonly coordinates: Coordinates | undefined;
  readonly notes: readonly string[];
}

export type PlacingResult =
  | {
      readonly kind: "placed";
      readonly answer: PlacementAnswer;
      readonly attempt: number;
      readonly expiresAtMs: number;
    }
  | { readonly kind: "unplaced"; readonly decision: string; readonly outcome: UnplacedOutcome }
  /** The session's own pool is still the best, or nothing else takes it. */
  | { readonly kind: "kept" }
  /** Something else is better, and it stays for now. */
  | {
      readonly kind: "held-back";
      readonly decision: string;
      readonly bestAchievableMs: number;
      readonly retryAfterMs: number | undefined;
    };

type UnplacedOutcome = Extract<SessionOutcome, { state: "queued" | "rejected" }>;
type PlacedOutcome = Exclude<SessionOutcome, UnplacedOutcome>;

/** Throws `overloaded` where the app is at its cap, or the slot went to others again and again. */
export async function placeSession(ports: PlacingPorts, asked: PlacingRequest): Promise<PlacingResult> {
  const notes = [...asked.notes];
  let request = asked;
  for (let tries = 0; tries < RESERVE_TRIES_MAX; tries += 1) {
    const decided = await decide(ports, request);
    const { outcome } = decided;
    const all = [...notes, ...decided.notes];
    // What was left to others counts again before the session is refused or goes beyond its limit.
    const isBeyond = !("candidate" in outcome) || decided.steps.at(-1)?.mayExceedLimit === true;
    if (isBeyond && request.leftToOthers !== undefined) {
      request = { ...request, leftToOthers: undefined };
      continue;
    }
    const hold = findHoldOf(outcome, request);
    const recorded = recordedOutcome(outcome, request, hold);
    const explained = { outcome: recorded, steps: decided.steps, notes: all };
    if (recorded.state === "kept") {
      const running = { ...request, attempt: request.running?.attempt ?? request.attempt };
      const decision = explain(ports, running, explained);
      reportWish(ports.wishes, request, { state: "placed", pool: recorded.pool }, undefined);
      return hold === undefined ? { kind: "kept" } : heldBack(decision, hold);
    }
    const wanted = decided.steps[0]?.record;
    if (!("candidate" in outcome)) {
      reportWish(ports.wishes, request, { state: outcome.state === "queued" ? "waiting" : "refused" }, wanted);
      return { kind: "unplaced", outcome, decision: explain(ports, request, explained) };
    }
    const { pool } = outcome.candidate;
    const { session, appSessionsMax } = request;
    const wish = { session, attempt: request.attempt, app: request.app.name, appSessionsMax };
    const reserved = await ports.ledger.reserve({ ...wish, ...slotQuery(pool, outcome.renderClass, request) });
    if (reserved === "reserved") {
      reportWish(ports.wishes, request, { state: "placed", pool }, wanted);
      return issue(ports, request, outcome, explain(ports, request, explained));
    }
    if (reserved === "over-cap") throw overCap(request.app.name, request.appSessionsMax);
    notes.push(`${pool}: chosen, but by then ${reserved}`);
    request = { ...request, leftToOthers: undefined, findHold: undefined };
    // A call whose answer was lost has promised it a slot elsewhere, which stands: the next attempt is for another.
    if (reserved === "superseded") request = { ...request, attempt: request.attempt + 1 };
  }
  reportWish(ports.wishes, request, { state: "waiting" }, undefined);
  throw new Failure("overloaded", `session ${request.session}: the free slots went to others; try again`, {
    retryable: true,
  });
}

/** Pools that would take it within its limit now, the best first, by the render class that it would get. */
export async function findFits(ports: PlacingPorts, request: PlacingRequest): Promise<readonly Fit[]> {
  const { outcome, steps } = await decide(ports, request);
  const step = steps.at(-1);
  if (!("candidate" in outcome) || step === undefined || step.mayExceedLimit) return [];
  const renderClass = outcome.renderClass.name;
  return listFitting(step.record)
    .map(({ pool, slotsFree }) => ({ pool: ports.explain.pools.nameOf(pool), renderClass, slotsFree }))
    .filter(({ pool }) => pool !== request.currentPool);
}

export function overCap(app: string, appSessionsMax: number): Failure {
  const message = `app ${app} has ${appSessionsMax} sessions, which is what the app token permits: try again when one ends`;
  return new Failure("overloaded", message, { retryable: true });
}

/** Nothing of it is reserved or told to the client; the record can be asked for. */
export async function explainUnplaced(ports: PlacingPorts, request: PlacingRequest): Promise<string> {
  const { steps, notes } = await decide(ports, request);
  const outcome = { state: "rejected", bestAchievableMs: undefined } as const;
  return explain(ports, request, { outcome, steps, notes: [...request.notes, ...notes] });
}

interface Hold extends MoveRefusal {
  readonly outcome: PlacedOutcome;
}

/** Asked of a pool that was chosen and is not the session's own. */
function findHoldOf(outcome: SessionOutcome, { currentPool, findHold }: PlacingRequest): Hold | undefined {
  if (!("candidate" in outcome) || outcome.candidate.pool === currentPool) return undefined;
  const refusal = findHold?.(outcome.candidate.pool);
  return refusal === undefined ? undefined : { ...refusal, outcome };
}

function heldBack(decision: string, { outcome, retryAfterMs }: Hold): PlacingResult {
  const { candidate, rttLimitMs } = outcome;
  const bestAchievableMs = candidate.rttMs + candidate.parts.budgetMs - rttLimitMs;
  return { kind: "held-back", decision, bestAchievableMs, retryAfterMs };
}

function recordedOutcome(
  outcome: SessionOutcome,
  { running, currentPool }: PlacingRequest,
  hold: Hold | undefined,
): RecordedOutcome {
  if ("candidate" in outcome) {
    const { state, candidate, renderClass, marginMs } = outcome;
    const { pool } = candidate;
    if (pool === currentPool) return { state: "kept", because: "best", pool, marginMs };
    if (running !== undefined && hold !== undefined) {
      return { state: "kept", because: "held-back", pool: running.pool, better: pool, reason: hold.reason };
    }
    return { state, pool, renderClass: renderClass.name, marginMs };
  }
  if (running === undefined) return outcome;
  return { state: "kept", because: "no-fit", pool: running.pool, bestAchievableMs: outcome.bestAchievableMs };
}

type Decided = SessionDecision & { readonly notes: readonly string[] };

async function decide(ports: PlacingPorts, request: PlacingRequest): Promise<Decided> {
  const { coordinates: client, currentPool } = request;
  const prices = ports.prices.current();
  const { site } = request.app.spec.bundle;
  // The slot that a session has already is wanted by nobody else until it leaves, and nothing is waited for there.
  const costsOf = (pool: string) => ({
    expectedSessions: prices.expectedByPool.get(pool) ?? 0,
    ...(pool === currentPool
      ? { priceMs: 0, bundleMs: 0 }
      : { priceMs: prices.byPool.get(pool) ?? 0, bundleMs: ports.bundles.missingMs(pool, site) }),
  });
  const notes: string[] = [];
  const classes: ClassCandidates[] = [];
  for (const renderClass of request.classes) {
    const queries = request.considered.map(({ pool }) => slotQuery(pool.pool, renderClass, request));
    const capacities = await ports.ledger.capacities(queries);
    const withheld = await findWithholding(ports.ledger, request, renderClass, capacities);
    const parts = { budgetMs: request.policy.budgetMs, device: request.device, app: request.app.spec, renderClass };
    const candidates = request.considered.flatMap((considered, index) => {
      const capacity = capacities[index];
      const { pool } = considered.pool;
      const known = { ...considered, client, ...costsOf(pool) };
      const facts = capacity === undefined ? undefined : withhold({ ...known, capacity }, withheld);
      const candidate = facts === undefined ? undefined : makeCandidate(facts, parts);
      if (candidate === undefined) notes.push(`${pool}: no agent holds render class ${renderClass.name}`);
      return candidate ?? [];
    });
    classes.push({ renderClass, candidates });
    const reasons = [...withheld.closed, ...withheld.crowded].map(([pool, reason]) => `${pool}: ${reason}`);
    notes.push(...reasons.filter((reason) => !notes.includes(reason)));
  }
  const rules = rulesWithSpread(request.policy);
  const versions = { policyRevision: request.policy.revision, priceVersion: prices.version };
  return { ...decideSession({ classes, rules, currentPool, ...versions, pools: ports.explain.pools }), notes };
}

/** A pool that takes nothing counts as full: sessions wait for it as for any other. */
function withhold(facts: ConsideredFacts, { closed, crowded: byPool }: Withholding): ConsideredFacts {
  const { pool, capacity } = facts;
  if (closed.has(pool.pool)) return { ...facts, capacity: { ...capacity, slotsFree: 0 } };
  return byPool.has(pool.pool) ? { ...facts, pool: crowded(pool) } : facts;
}

function slotQuery(pool: string, renderClass: RenderClass, { considered }: PlacingRequest) {
  const facts = considered.find((candidate) => candidate.pool.pool === pool);
  return { pool, renderClass: renderClass.name, excludedAgents: facts?.pool.excludedAgents ?? new Set<string>() };
}

function explain(
  { explain, clock, random }: PlacingPorts,
  { session, attempt, app, tier, because, client, asker, coordinates, policy }: PlacingRequest,
  explained: Pick<SessionDecisionRecord, "outcome" | "steps" | "notes">,
): string {
  const id = `d-${Buffer.from(random.bytes(DECISION_ID_BYTES)).toString("base64url")}`;
  const { constraints } = policy.rules;
  const what = {
    session,
    attempt,
    app: app.name,
    tier,
    because,
    client,
    asker,
    coordinates,
    policy: policy.name,
    constraints,
  };
  explain.recordSession({ kind: "session", id, atMs: clock.nowMs(), ...what, ...explained });
  return id;
}

async function issue(
  { identity, clock, iceServers }: PlacingPorts,
  request: PlacingRequest,
  outcome: PlacedOutcome,
  decision: string,
): Promise<PlacingResult> {
  const { session, attempt, app, tier, tenant, thumbprint } = request;
  const { pool } = outcome.candidate;
  const exp = Math.floor(clock.nowMs() / 1000) + PLACEMENT_LIFETIME_SECONDS;
  const budget = budgetOf(outcome);
  const claims: PlacementClaims = {
    session,
    attempt,
    app: app.name,
    tier,
    ...(tenant === undefined ? {} : { tenant }),
    pool,
    renderClass: outcome.renderClass.name,
    cnf: { jkt: thumbprint },
    exp,
    budget,
  };
  const placement = await signToken(TOKEN_TYPES.placement, claims, identity.signer());
  const facts = request.considered.find((considered) => considered.pool.pool === pool);
  const edges = facts === undefined ? [] : listOpenEdges(facts.pool).map(({ contentUrl }) => contentUrl);
  const servers = iceServers?.forUser(session, clock.nowMs()) ?? [];
  const reaching =
    servers.length === 0 ? {} : { iceServers: servers.map(({ urls, ...rest }) => ({ urls: [...urls], ...rest })) };
  const answer = { state: outcome.state, decision, placement, pool, edges, budget, ...reaching };
  return { kind: "placed", answer, attempt, expiresAtMs: exp * 1000 };
}

function budgetOf({ candidate, rttLimitMs }: PlacedOutcome): BudgetClaim {
  const { budgetMs, renderEncodeMsP95, decodeMs, jitterMs, serialisationMs } = candidate.parts;
  return {
    budgetMs,
    networkMsP95: Math.min(candidate.rttMs, BUDGET_PART_MS_MAX),
    renderEncodeMsP95,
    decodeJitterMs: Math.min(decodeMs + jitterMs, BUDGET_PART_MS_MAX),
    serialisationMs: Math.min(serialisationMs, BUDGET_PART_MS_MAX),
    rttLimitMs: Math.max(-BUDGET_PART_MS_MAX, Math.min(rttLimitMs, BUDGET_PART_MS_MAX)),
  };
}

/** For a session that runs and whose move is urgent: it waits its turn where it is. Undefined: its next renewal is soon enough. */
export function waitingAnswer({
  decision,
  bestAchievableMs,
  retryAfterMs,
}: Extract<PlacingResult, { kind: "held-back" }>): PlacementAnswer | undefined {
  if (retryAfterMs === undefined) return undefined;
  return { state: "queued", decision, retryAfterSeconds: retryAfterMs / 1000, bestAchievableMs };
}

/** Throws `no-pool-fits` where the policy rejects or nothing could ever do. */
export function queuedAnswer(decision: string, outcome: UnplacedOutcome): PlacementAnswer {
  if (outcome.state === "queued") {
    const { bestAchievableMs } = outcome;
    return { state: "queued", decision, retryAfterSeconds: QUEUE_RETRY_SECONDS, bestAchievableMs };
  }
  throw noPoolFits(decision, outcome.bestAchievableMs);
}

export function noPoolFits(decision: string, bestAchievableMs: number | undefined): Failure {
  const best =
    bestAchievableMs === undefined ? "no pool may take it" : `best achievable is ${bestAchievableMs.toFixed(1)} ms`;
  const detail = { decision, ...(bestAchievableMs === undefined ? {} : { bestAchievableMs }) };
  return new Failure("no-pool-fits", `no pool fits: ${best}; perigee why ${decision} says why`, { detail });
}
