/** The life of a session at the scheduler: create, place, renew, end. */
import type { Static } from "typebox";
import type {
  CreateSession,
  endSessionSchema,
  PlacementAnswer,
  ProbeResult,
  renewSessionSchema,
  SessionCandidates,
  sessionProbesSchema,
} from "#contracts/operator-api/sessions.ts";
import type { AppClaims, PlacementClaims } from "#contracts/tokens/claims.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { AgentStatus } from "#domain/fleet/node.ts";
import { deviceTimes } from "#domain/latency/budget.ts";
import type { ProbeTrust } from "#domain/latency/probe-trust.ts";
import type { RttMap } from "#domain/latency/rtt-map.ts";
import { type AppliedPolicy, listUnjudged, selectPolicy } from "#domain/placement/policy-selection.ts";
import type { NamedPolicy } from "#domain/policy/policy-match.ts";
import type { RenderAppSpec } from "#domain/session/render-app.ts";
import { SingleFlight } from "#platform/concurrency/single-flight.ts";
import { thumbprintOf, verifyProof } from "#platform/identity/dpop.ts";
import { ProofMemory } from "#platform/identity/proof-memory.ts";
import type { LocatedClient } from "../geo/client-groups.ts";
import { isOpenFor, type RttHistory } from "../placement/candidates.ts";
import type { PoolFacts } from "../placement/pool-facts.ts";
import { chooseProbes, findHolders, issueProbes } from "./creating.ts";
import { takeRunning } from "./in-session.ts";
import { believeProbes, learnFrom } from "./measuring.ts";
import { SessionMoves } from "./moving.ts";
import {
  explainUnplaced,
  findFits,
  noPoolFits,
  overCap,
  type PlacingPorts,
  type PlacingRequest,
  type PlacingResult,
  placeSession,
  queuedAnswer,
  waitingAnswer,
} from "./placing.ts";
import type { ProbeTokens } from "./probe-tokens.ts";
import { planRenewal, type Renewal, type RenewalPlan, rttOf } from "./renewal.ts";
import { SESSION_PENDING_MS, type SessionRecord, SessionTable } from "./session-table.ts";
import { verifyShownPlacement } from "./shown-placement.ts";
import { Stampede } from "./stampede.ts";
import { Turns } from "./turns.ts";

/** Accepted in ten minutes: more is an attack, and the oldest is forgotten. */
const PROOFS_REMEMBERED_MAX = 200_000;
/** Calls in work at once; one more is `overloaded`. */
const CALLS_MAX = 4_096;
/** A placement with less time left is not given again: nobody could connect with it. */
const REUSE_MS_MIN = 10_000;
const SESSION_ID_BYTES = 16;

export interface SessionFacts {
  findApp(app: string): RenderAppSpec | undefined;
  listPolicies(): readonly NamedPolicy[];
  listPools(): readonly PoolFacts[];
  findPool(pool: string): PoolFacts | undefined;
}

export type SessionOperation = "create" | "place" | "renew" | "end";

export interface SessionEvents {
  created(app: string): void;
  answered(operation: "place" | "renew", app: string, answer: PlacementAnswer): void;
  /** A renewal that left the session where it is. */
  kept(app: string): void;
  ended(app: string): void;
  /** Sessions that lost their pools together, and how many of them were given a slot within their limits. */
  placedTogether(sessions: number, given: number): void;
  refused(operation: SessionOperation, failure: Failure): void;
  /** One probe answer of several was not believed. */
  answerRefused(failure: Failure): void;
  /** Expressions of policies that could not be judged, as the decision's record says them. */
  expressionsFailed(notes: readonly string[]): void;
}

export interface SessionPorts extends PlacingPorts {
  readonly facts: SessionFacts;
  locate(address: string): LocatedClient;
  readonly rttMap: RttMap;
  readonly probeTrust: ProbeTrust;
  readonly probeTokens: ProbeTokens;
  readonly watch: { answered(node: string): void };
  readonly events: SessionEvents;
}

export interface SessionCall {
  readonly session: string;
  /** As the client called it, without query: its proof names it. */
  readonly url: string;
}

export interface SessionService {
  /** Throws `permission-denied`, `not-found`, `overloaded` or `no-pool-fits`. */
  create(claims: AppClaims, body: CreateSession, clientAddress: string): Promise<SessionCandidates>;
  /** The same call again, its answer lost, gives the same placement. Throws `no-pool-fits` and what proofs and answers throw. */
  place(call: SessionCall, body: Static<typeof sessionProbesSchema>): Promise<PlacementAnswer>;
  /** Undefined: keep what you have. */
  renew(
    call: SessionCall & { readonly clientAddress: string },
    body: Static<typeof renewSessionSchema>,
  ): Promise<PlacementAnswer | undefined>;
  /** What agents of a pool say of the sessions that they run. */
  observe(running: { readonly pool: string; readonly agents: readonly AgentStatus[] }): void;
  /** A session that is not known has ended. */
  end(call: SessionCall, body: Static<typeof endSessionSchema>): Promise<void>;
}

export function createSessionService(ports: SessionPorts): SessionService {
  const flows = new SessionFlows(ports);
  const counted = async <T>(operation: SessionOperation, run: () => Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (error) {
      if (isFailure(error)) ports.events.refused(operation, error);
      throw error;
    }
  };
  return {
    create: (claims, body, clientAddress) => counted("create", () => flows.create(claims, body, clientAddress)),
    place: (call, body) => counted("place", () => flows.place(call, body)),
    renew: (call, body) => counted("renew", () => flows.renew(call, body)),
    observe: (running) => flows.observe(running),
    end: (call, body) => counted("end", () => flows.end(call, body)),
  };
}

class SessionFlows {
  readonly #ports: SessionPorts;
  readonly #table: SessionTable;
  readonly #proofs: ProofMemory;
  readonly #moves: SessionMoves;
  readonly #turns = new Turns();
  readonly #stampede: Stampede;
  readonly #flights = new SingleFlight<PlacementAnswer | undefined>(CALLS_MAX);

  constructor(ports: SessionPorts) {
    this.#ports = ports;
    this.#table = new SessionTable(ports.clock);
    this.#moves = new SessionMoves(ports);
    this.#stampede = new Stampede({
      clock: ports.clock,
      findFits: (request) => findFits(ports, request),
      place: (request) => this.#placeInTurn(request),
      onBatch: (sessions, given) => ports.events.placedTogether(sessions, given),
    });
    this.#proofs = new ProofMemory({ clock: ports.clock, entriesMax: PROOFS_REMEMBERED_MAX });
  }

  async create(claims: AppClaims, body: CreateSession, clientAddress: string): Promise<SessionCandidates> {
    const { ledger, clock, events } = this.#ports;
    const { app: name, tier, key, device } = body;
    if (claims.sub !== name) {
      throw new Failure("permission-denied", `the app token is for ${claims.sub}, the session for ${name}`);
    }
    const app = this.#findApp(name);
    const thumbprint = await thumbprintOf({ ...key });
    const appSessionsMax = claims.maxSessions;
    if ((await ledger.countSessions(name)) >= appSessionsMax) throw overCap(name, appSessionsMax);
    const session = `s-${Buffer.from(this.#ports.random.bytes(SESSION_ID_BYTES)).toString("base64url")}`;
    const client = this.#ports.locate(clientAddress);
    const { tenant } = claims;
    const begun = { session, app: name, tier, tenant, thumbprint, device: deviceTimes(device), client, appSessionsMax };
    const probing = { client, app, policy: this.#policyOf(begun), history: this.#history() };
    const { probed, passedOver } = await chooseProbes(this.#ports, probing);
    const record: SessionRecord = {
      ...begun,
      probedPools: probed.map(({ pool }) => pool),
      passedOverPools: passedOver.map(({ pool }) => pool),
      ...{ measured: new Map(), attempt: 0, issued: undefined },
    };
    if (probed.length === 0) {
      throw noPoolFits(
        await explainUnplaced(this.#ports, this.#noteUnjudged(this.#firstRequest(record, app), [])),
        undefined,
      );
    }
    const candidates = await issueProbes(this.#ports, session, probed);
    this.#table.add(record);
    events.created(name);
    return { session, candidates, expiresAtMs: clock.nowMs() + SESSION_PENDING_MS };
  }

  async place({ session, url }: SessionCall, body: Static<typeof sessionProbesSchema>): Promise<PlacementAnswer> {
    const { thumbprint } = this.#findRecord(session);
    await this.#checkProof(body.proof, { method: "POST", url, thumbprint });
    const answer = await this.#flights.run(session, () => this.#placeKnown(session, body.results));
    if (answer !== undefined) return answer;
    throw new Failure("attempt-superseded", `session ${session} is placed: keep what it has, or renew`);
  }

  async #placeKnown(session: string, results: readonly ProbeResult[]): Promise<PlacementAnswer | undefined> {
    const { events } = this.#ports;
    const record = this.#findRecord(session);
    const again = this.#findAnswer(record, record.issued?.afterAttempt);
    if (again !== undefined) return again;
    const believed = await believeProbes(this.#ports, results, ({ node, issued }) => {
      if (issued?.session !== session) {
        throw new Failure("token-invalid", `the answer of ${node} is to no probe of this session: probe again`);
      }
    });
    if (believed.measurements.length === 0 && believed.firstFailure !== undefined) throw believed.firstFailure;
    const measured = await learnFrom(this.#ports, record, believed.measurements);
    this.#table.update(measured);
    const request = this.#firstRequest(measured, this.#findApp(record.app));
    const result = await this.#placeInTurn(this.#noteUnjudged(request, believed.notes));
    const answer = this.#conclude(await this.#afterPlacing(session), result, record.attempt);
    if (answer !== undefined) events.answered("place", record.app, answer);
    return answer;
  }

  async renew(
    call: SessionCall & { readonly clientAddress: string },
    body: Static<typeof renewSessionSchema>,
  ): Promise<PlacementAnswer | undefined> {
    const { session, url, clientAddress } = call;
    const { identity, clock, facts } = this.#ports;
    const { authorities } = identity.trust;
    const nowMs = clock.nowMs();
    const shown = await verifyShownPlacement(body.placement, session, { authorities, nowMs });
    await this.#checkProof(body.proof, { method: "POST", url, thumbprint: shown.cnf.jkt });
    const { app, tier, tenant } = shown;
    const device = this.#table.find(session)?.device;
    const policy = selectPolicy(facts.listPolicies(), app, tier, {
      ...this.#ports.locate(clientAddress),
      tenant,
      device,
    });
    if (nowMs / 1000 > shown.exp + policy.sessionSecondsMax) {
      throw new Failure("token-expired", `the placement is older than a session of ${shown.app} may be: create anew`);
    }
    const renewal: Renewal = { shown, reason: body.reason, policy };
    return this.#flights.run(session, () => this.#renewShown(renewal, body.results ?? [], clientAddress));
  }

  async #renewShown(renewal: Renewal, results: readonly ProbeResult[], clientAddress: string) {
    const { events, facts } = this.#ports;
    const { shown } = renewal;
    const app = this.#findApp(shown.app);
    const known = this.#table.find(shown.session) ?? this.#adopt(shown, clientAddress);
    // Another replica may have moved it meanwhile.
    const record = known.attempt < shown.attempt ? { ...known, attempt: shown.attempt, inSession: undefined } : known;
    if (record.thumbprint !== shown.cnf.jkt) {
      throw new Failure("token-invalid", `the placement shown binds session ${shown.session} to another key`);
    }
    const again = this.#findAnswer(record, shown.attempt);
    if (again !== undefined) return again;
    const believed = await believeProbes(this.#ports, results, () => undefined);
    const measured = await learnFrom(this.#ports, record, believed.measurements);
    this.#table.update(measured);
    const holdsApp = await findHolders(this.#ports.ledger, app, facts.listPools());
    const { pools, history } = { pools: facts.listPools(), history: this.#history() };
    const plan = planRenewal(renewal, { record: measured, pools, history, holdsApp, classes: app.classes });
    const move = await this.#moves.judge(plan, { renewal, record: measured, app });
    const { findHold } = move;
    const request: PlacingRequest = { ...this.#firstRequest(measured, app), ...move.plan, findHold };
    const noted = this.#noteUnjudged(request, [...believed.notes, move.note, ...plan.notes]);
    const result = await this.#placeRenewed(shown.pool, move.plan.standing, noted);
    const latest = await this.#afterPlacing(shown.session);
    const moved = { ...latest, moves: this.#moves.conclude(move, result) };
    this.#table.update(moved);
    const answer = this.#conclude(moved, result, shown.attempt);
    if (answer === undefined) events.kept(shown.app);
    if (answer !== undefined) events.answered("renew", shown.app, answer);
    return answer;
  }

  /** The session as reports have left it while it was placed; throws `not-found` where it ended meanwhile, and frees its slot. */
  async #afterPlacing(session: string): Promise<SessionRecord> {
    const latest = this.#table.find(session);
    if (latest !== undefined) return latest;
    this.#ports.wishes.ended(session);
    await this.#ports.ledger.release(session);
    throw new Failure("not-found", `session ${session} has ended: create another`);
  }

  #placeRenewed(from: string, standing: RenewalPlan["standing"], request: PlacingRequest): Promise<PlacingResult> {
    if (standing === "running") return this.#placeInTurn(request);
    return this.#stampede.place(from, request);
  }

  /** What neighbours keep free is of several pools, which no single reservation guards. */
  #placeInTurn(request: PlacingRequest): Promise<PlacingResult> {
    const place = () => placeSession(this.#ports, request);
    return request.policy.neighbourReserve === undefined ? place() : this.#turns.run(place);
  }

  observe(running: Parameters<SessionService["observe"]>[0]): void {
    takeRunning(this.#ports, this.#table, running);
  }

  async end({ session, url }: SessionCall, body: Static<typeof endSessionSchema>): Promise<void> {
    const record = this.#table.find(session);
    if (record === undefined) return;
    await this.#checkProof(body.proof, { method: "DELETE", url, thumbprint: record.thumbprint });
    await this.#ports.ledger.release(session);
    this.#table.delete(session);
    this.#ports.wishes.ended(session);
    this.#ports.explain.recordEnded({ session, atMs: this.#ports.clock.nowMs() });
    this.#ports.events.ended(record.app);
  }

  async #checkProof(
    proof: string,
    { method, url, thumbprint }: { method: "POST" | "DELETE"; url: string; thumbprint: string },
  ): Promise<void> {
    const proven = await verifyProof(proof, { method, urls: [url], nowMs: this.#ports.clock.nowMs() });
    if (proven.thumbprint !== thumbprint) {
      throw new Failure("proof-invalid", "the proof is of another key than the session's");
    }
    if (!this.#proofs.remember(proven.proofId)) {
      throw new Failure("proof-invalid", "the proof was used before: make a new one for each call");
    }
  }

  /** What was probed with its answer or without one; what was passed over, for the record, unless it has opened since. */
  #firstRequest(record: SessionRecord, app: RenderAppSpec): PlacingRequest {
    const { facts } = this.#ports;
    const policy = this.#policyOf(record);
    const { measured, probedPools, passedOverPools, client } = record;
    const considered = [...probedPools, ...passedOverPools].flatMap((name) => {
      const pool = facts.findPool(name);
      if (pool === undefined) return [];
      const answered = measured.has(name) || !isOpenFor(pool, policy.rules.constraints);
      return [{ pool, rtt: rttOf(pool, record, this.#history()), answered }];
    });
    const { session, tier, tenant, thumbprint, device, appSessionsMax } = record;
    return {
      ...{ session, tier, tenant, thumbprint, device, appSessionsMax, policy, considered },
      attempt: record.attempt + 1,
      app: { name: record.app, spec: app },
      fleet: facts.listPools(),
      classes: app.classes,
      running: undefined,
      currentPool: undefined,
      because: "new",
      client: client.groups[0] ?? "a client of unknown place",
      asker: { tenant, country: client.country, asn: client.asn, network: client.network },
      groups: client.groups,
      coordinates: client.coordinates,
      notes: [],
    };
  }

  /** Adds to the notes what could not be judged of the policies and the pools. */
  #noteUnjudged(request: PlacingRequest, notes: readonly string[]): PlacingRequest {
    const pools = request.considered.map(({ pool }) => pool);
    const unjudged = listUnjudged(request.policy, pools);
    if (unjudged.length > 0) this.#ports.events.expressionsFailed(unjudged);
    return { ...request, notes: [...notes, ...unjudged] };
  }

  /** Keeps what was placed; throws `no-pool-fits` where the policy lets nothing wait. Undefined: stay. */
  #conclude(record: SessionRecord, result: PlacingResult, afterAttempt: number): PlacementAnswer | undefined {
    if (result.kind === "kept") return undefined;
    if (result.kind === "held-back") return waitingAnswer(result);
    if (result.kind === "unplaced") return queuedAnswer(result.decision, result.outcome);
    const { answer, attempt, expiresAtMs } = result;
    const issued = { answer, afterAttempt, expiresAtMs };
    this.#table.update({ ...record, attempt, issued });
    return answer;
  }

  /** The answer to the same question, lost on its way, while a client can still connect with it. */
  #findAnswer({ issued }: SessionRecord, afterAttempt: number | undefined): PlacementAnswer | undefined {
    if (issued === undefined || issued.afterAttempt !== afterAttempt) return undefined;
    return issued.expiresAtMs - this.#ports.clock.nowMs() >= REUSE_MS_MIN ? issued.answer : undefined;
  }

  /** Another replica's session, or of this one before it was started anew: the placement says what is needed. */
  #adopt(shown: PlacementClaims, clientAddress: string): SessionRecord {
    const { session, app, tier, tenant, attempt, budget } = shown;
    return {
      ...{ session, app, tier, tenant, attempt },
      thumbprint: shown.cnf.jkt,
      device: { decodeMs: budget.decodeJitterMs, jitterMs: 0 },
      client: this.#ports.locate(clientAddress),
      appSessionsMax: Number.MAX_SAFE_INTEGER,
      probedPools: [],
      passedOverPools: [],
      measured: new Map(),
      issued: undefined,
    };
  }

  #policyOf(record: Pick<SessionRecord, "app" | "tier" | "tenant" | "client" | "device">): AppliedPolicy {
    const { app, tier, tenant, client, device } = record;
    return selectPolicy(this.#ports.facts.listPolicies(), app, tier, { ...client, tenant, device });
  }

  #history(): RttHistory {
    return { map: this.#ports.rttMap, nowMs: this.#ports.clock.nowMs() };
  }

  #findApp(app: string): RenderAppSpec {
    const spec = this.#ports.facts.findApp(app);
    if (spec !== undefined) return spec;
    throw new Failure("not-found", `there is no RenderApp ${app}: apply one, or mend the name`);
  }

  #findRecord(session: string): SessionRecord {
    const record = this.#table.find(session);
    if (record !== undefined) return record;
    throw new Failure("not-found", `session ${session} is not known here, or took too long: create it again`);
  }
}
