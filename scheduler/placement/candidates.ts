/** Makes the candidates of a session's decision from facts: pools worth probing, round trips, and the budget's parts. Pure. */
import { type Coordinates, distanceKm } from "#domain/geography.ts";
import { budgetPartsOf, type FixedParts } from "#domain/latency/budget.ts";
import { fibreRttMs, RTT_MS_UNKNOWN } from "#domain/latency/distance-model.ts";
import type { PathEnds, RttMap } from "#domain/latency/rtt-map.ts";
import type { PoolCandidate } from "#domain/placement/candidate.ts";
import { meetsRequirement } from "#domain/placement/labels.ts";
import { planShortlist, type ShortlistClient } from "#domain/placement/shortlist.ts";
import type { LabelRequirement } from "#domain/policy/placement-policy.ts";
import type { Capacity } from "../ledger/ledger.ts";
import { type PoolFacts, standingOf, takesSessions } from "./pool-facts.ts";

export interface RttFact {
  readonly rttMs: number;
  readonly source: PoolCandidate["rttSource"];
  /** What an estimate by distance may be off by; undefined of what is measured, and where the client's place is unknown. */
  readonly errorMs?: number;
}

export interface RttHistory {
  readonly map: RttMap;
  readonly nowMs: number;
}

export interface ProbePlan<P extends PoolFacts = PoolFacts> {
  /** Pools to probe, at most six. */
  readonly probed: readonly P[];
  /** Pools as near that may take nothing: for the record of the decision. */
  readonly passedOver: readonly P[];
}

/** A pool is worth a probe when it may take a session of the app, or serve the site, at all. */
export function planProbes<P extends PoolFacts>(
  client: ShortlistClient,
  pools: readonly P[],
  {
    constraints,
    history,
    holdsIt,
  }: {
    readonly constraints: readonly LabelRequirement[];
    readonly history: RttHistory;
    readonly holdsIt: (pool: P) => boolean;
  },
): ProbePlan<P> {
  const isOpen = (pool: P): boolean => isOpenFor(pool, constraints) && holdsIt(pool);
  const open = new Set(pools.filter(isOpen));
  const shortlist = (from: readonly P[]): P[] => {
    const byName = new Map(from.map((pool) => [pool.pool, pool]));
    return planShortlist(client, from, history).flatMap(({ pool }) => byName.get(pool) ?? []);
  };
  return {
    probed: shortlist([...open]),
    passedOver: shortlist(pools.filter((pool) => !open.has(pool))),
  };
}

export function isOpenFor(pool: PoolFacts, constraints: readonly LabelRequirement[]): boolean {
  return takesSessions(pool) && constraints.every((requirement) => meetsRequirement(pool.labels, requirement));
}

/** What to expect of a pool that this client has not measured. */
export function estimateRtt(client: ShortlistClient, pool: PoolFacts, { map, nowMs }: RttHistory): RttFact {
  const known = map.find(client.groups, pool.pool, nowMs);
  return known === undefined ? estimateByDistance(client, pool, map) : { rttMs: known.rttMsP95, source: "history" };
}

/** The same where the usual round trip counts and not the worst, as for content: half a group would have to lie to move it. */
export function estimateContentRtt(client: ShortlistClient, pool: PoolFacts, { map, nowMs }: RttHistory): RttFact {
  const known = map.find(client.groups, pool.pool, nowMs);
  return known === undefined ? estimateByDistance(client, pool, map) : { rttMs: known.rttMsP50, source: "history" };
}

function estimateByDistance(client: ShortlistClient, pool: PoolFacts, map: RttMap): RttFact {
  const ends = endsOf(client, pool);
  if (ends === undefined) return { rttMs: RTT_MS_UNKNOWN, source: "geography" };
  return { ...map.estimateByDistance(client.groups, ends), source: "geography" };
}

/** Where a round trip's ends are; undefined where the client's place is unknown, or the pool is gone. */
export function endsOf({ coordinates }: ShortlistClient, pool: PoolFacts | undefined): PathEnds | undefined {
  return coordinates === undefined || pool === undefined ? undefined : { client: coordinates, pool: pool.coordinates };
}

/** Undefined where the client's place is unknown. */
function geographyRttMsOf(client: Coordinates | undefined, pool: PoolFacts): number | undefined {
  return client === undefined ? undefined : fibreRttMs(distanceKm(client, pool.coordinates));
}

export interface ConsideredFacts {
  readonly pool: PoolFacts;
  readonly rtt: RttFact;
  /** False where the client was asked to probe it and brought no answer. */
  readonly answered: boolean;
  readonly capacity: Capacity;
  /** From the slow loop; 0 is plain lowest RTT. */
  readonly priceMs: number;
  readonly bundleMs: number;
  /** Others that are expected to want it, from the slow loop. */
  readonly expectedSessions: number;
  /** Where the client is, for what geography alone would have chosen. */
  readonly client?: Coordinates | undefined;
}

/** Undefined where no agent of the pool holds the class: there is nothing to measure or choose. */
export function makeCandidate(facts: ConsideredFacts, parts: FixedParts): PoolCandidate | undefined {
  const { pool, rtt, answered, capacity, priceMs, bundleMs, expectedSessions, client } = facts;
  if (capacity.frameMsP95 === undefined) return undefined;
  const { reachable, cordoned, draining } = standingOf(pool);
  return {
    pool: pool.pool,
    labels: pool.labels,
    reachable: reachable && answered && capacity.isOpen,
    cordoned,
    draining,
    rttMs: rtt.rttMs,
    rttSource: rtt.source,
    rttErrorMs: rtt.errorMs,
    geographyRttMs: geographyRttMsOf(client, pool),
    parts: budgetPartsOf(parts, capacity.frameMsP95),
    slotsTotal: capacity.slotsTotal,
    slotsFree: capacity.slotsFree,
    priceMs,
    bundleMs,
    expectedSessions,
  };
}
