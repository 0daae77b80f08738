/** Steers content: locates the client, decides, records why, and gives probe tokens; takes what clients measured. */
import type { ProbeResult, SteerAnswer } from "#contracts/operator-api/sessions.ts";
import { Failure } from "#domain/failure.ts";
import type { ProbeTrust } from "#domain/latency/probe-trust.ts";
import type { RttMap } from "#domain/latency/rtt-map.ts";
import { listUnjudged, selectSitePolicy } from "#domain/placement/policy-selection.ts";
import { siteUrlOf } from "#domain/placement/steering-table.ts";
import { contentRulesOf } from "#domain/policy/content-rules.ts";
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import type { ExplainStore } from "../explain/explain-store.ts";
import type { DesiredView } from "../facts/desired-view.ts";
import type { FleetEdge, FleetPool } from "../facts/fleet.ts";
import type { LocatedClient } from "../geo/client-groups.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { endsOf, estimateContentRtt, planProbes, type RttFact } from "../placement/candidates.ts";
import { believeProbes } from "../session/measuring.ts";
import type { Measurement, ProbeTokens } from "../session/probe-tokens.ts";
import type { ClientMemory } from "./client-memory.ts";
import {
  decideSteering,
  type EdgeCandidate,
  findSteeringRejection,
  type RankedEdge,
  rankedEdgeOf,
  type SteeringDecision,
  type SteeringRequest,
  type SteeringRules,
} from "./content-decision.ts";
import { rankByHash } from "./rendezvous.ts";

/** Of one pool in one decision, chosen by hash of the client's group: the others are as near. */
export const EDGES_PER_POOL_MAX = 8;
/** In an answer: a client that has failed at so many is offline. */
export const EDGES_ANSWERED_MAX = 8;
/** One for each of the pools worth probing. */
const PROBES_MAX = 6;
const DECISION_ID_BYTES = 9;

export interface SteeringEvents {
  steered(source: RttFact["source"]): void;
  noEdge(): void;
  /** One probe answer of several was not believed. */
  answerRefused(failure: Failure): void;
  measured(count: number): void;
  /** Expressions of policies that could not be judged, as the decision's record says them. */
  expressionsFailed(notes: readonly string[]): void;
}

export interface SteeringPorts {
  readonly fleet: {
    readonly view: DesiredView;
    listPools(): readonly FleetPool[];
    findPool(pool: string): FleetPool | undefined;
  };
  locate(address: string): LocatedClient;
  readonly memory: ClientMemory;
  /** What the content plan goes by: a client of a site, and the pools near to it whether or not they hold the site. */
  readonly demand: { asked(site: string, seen: readonly { readonly pool: string; readonly rttMs: number }[]): void };
  readonly rttMap: RttMap;
  readonly probeTrust: ProbeTrust;
  readonly ledger: Ledger;
  readonly probeTokens: ProbeTokens;
  readonly explain: ExplainStore;
  /** What clients' probes say of edges. */
  readonly watch: { answered(node: string): void; failed(node: string, observer: string): void };
  readonly events: SteeringEvents;
  readonly clock: Clock;
  readonly random: Random;
}

interface Decided extends SteeringDecision {
  readonly request: SteeringRequest;
  readonly seen: readonly { readonly pool: string; readonly rttMs: number }[];
  readonly group: string;
  readonly policy: string | undefined;
  readonly notes: readonly string[];
}

interface Steered extends Decided {
  readonly decision: string;
}

/** What is known of one client beside its group. */
interface OwnFacts {
  readonly measuredPools: readonly string[];
  measuredRttMs(pool: string): number | undefined;
  isUnanswered(node: string): boolean;
  readonly lastNode: string | undefined;
}

export interface SteeringService {
  /** Throws `not-found` for an unknown site, `unavailable` where no edge can serve it. */
  steer(site: string, address: string): Promise<SteerAnswer>;
  /** Where the site is for this client: scheme, host and port. Throws `unavailable`. */
  redirect(site: string, address: string): string;
  /**
   * For all clients of a network that are told the same: what one of them measured counts for its group only. Nothing is
   * recorded; a new one counts as a client of the site. Empty where no edge can serve the site; throws `not-found` for
   * an unknown one.
   */
  rankFor(
    site: string,
    clients: { readonly address: string; readonly lastNode: string | undefined; readonly isNew: boolean },
  ): readonly RankedEdge[];
  /** Decides as for the client without counting it, and gives the decision's id. */
  explain(site: string, address: string): string;
  /** Throws the first failure where no answer is believed. */
  measure(results: readonly ProbeResult[], address: string): Promise<{ accepted: number; notes: readonly string[] }>;
}

export function createSteeringService(ports: SteeringPorts): SteeringService {
  const { memory, events, demand } = ports;
  const steer = (site: string, address: string): { steered: Steered; best: EdgeCandidate } => {
    const steered = decideFor(ports, site, address);
    // Once in the time that a client is remembered: who asks often counts no more.
    if (memory.lastNode(address, site) === undefined) demand.asked(site, steered.seen);
    const [best] = steered.ranked;
    if (best === undefined) {
      events.noEdge();
      throw noEdge(site, steered.decision);
    }
    memory.sentTo(address, site, best.edge.node);
    events.steered(best.rtt.source);
    return { steered, best };
  };
  return {
    async steer(site, address) {
      const { steered } = steer(site, address);
      const { ranked, decision, group } = steered;
      const edges = ranked.slice(0, EDGES_ANSWERED_MAX).map((candidate) => rankedEdgeOf(candidate, site));
      return { site, decision, group, edges, probes: await issueProbes(ports, ranked, address) };
    },
    redirect: (site, address) => siteUrlOf(steer(site, address).best.edge, site),
    rankFor(site, { address, lastNode, isNew }) {
      const own = { measuredPools: [], measuredRttMs: () => undefined, isUnanswered: () => false, lastNode };
      const { ranked, seen } = decide(ports, site, { client: ports.locate(address), own });
      if (isNew) demand.asked(site, seen);
      return ranked;
    },
    explain: (site, address) => decideFor(ports, site, address).decision,
    measure: (results, address) => measure(ports, results, address),
  };
}

function noEdge(site: string, decision: string): Failure {
  return new Failure("unavailable", `no edge can serve ${site} now; perigee why ${decision} says why`, {
    retryable: true,
    detail: { decision },
  });
}

/** For one client, whose own measurements come first. */
function decideFor(ports: SteeringPorts, site: string, address: string): Steered {
  const { memory } = ports;
  const decided = decide(ports, site, {
    client: ports.locate(address),
    own: {
      measuredPools: memory.measuredPools(address),
      measuredRttMs: (pool) => memory.measuredRttMs(address, pool),
      isUnanswered: (node) => memory.isUnanswered(address, node),
      lastNode: memory.lastNode(address, site),
    },
  });
  return { ...decided, decision: record(ports, site, decided) };
}

interface Asker {
  readonly client: LocatedClient;
  readonly own: OwnFacts;
}

function decide(ports: SteeringPorts, site: string, { client, own }: Asker): Decided {
  const { fleet, clock, rttMap } = ports;
  const spec = fleet.view.sites.get(site);
  if (spec === undefined) throw new Failure("not-found", `there is no Site ${site}: apply one, or mend the name`);
  const policy = selectSitePolicy(fleet.view.placementPolicies, site, client);
  const { residency } = contentRulesOf(fleet.view.contentPolicies, site);
  const rules: SteeringRules = { ...policy.rules, residency };
  const group = client.groups[0] ?? "a client of unknown place";
  const history = { map: rttMap, nowMs: clock.nowMs() };
  const siteFaultOf = (edge: FleetEdge) => findSiteFault(fleet.view, edge, site);
  const isOpen = (pool: FleetPool, edge: FleetEdge) =>
    findSteeringRejection(edge, { labels: pool.labels, siteFault: siteFaultOf(edge) }, rules) === undefined;
  const plan = planProbes(client, fleet.listPools(), {
    constraints: rules.constraints,
    history,
    holdsIt: (pool) => pool.edges.some((edge) => isOpen(pool, edge)),
  });
  const measured = own.measuredPools.flatMap((pool) => fleet.findPool(pool) ?? []);
  const near = [...plan.probed, ...measured, ...plan.passedOver];
  const considered = [...new Map(near.map((pool) => [pool.pool, pool])).values()].map((pool) => {
    const rttMs = own.measuredRttMs(pool.pool);
    const rtt: RttFact =
      rttMs === undefined ? estimateContentRtt(client, pool, history) : { rttMs, source: "measured" };
    return { pool, rtt };
  });
  const candidates = considered.flatMap(({ pool, rtt }) =>
    consideredEdges(pool, group, (edge) => isOpen(pool, edge)).map((edge): EdgeCandidate => {
      const isUnanswered = own.isUnanswered(edge.node);
      return { edge, labels: pool.labels, rtt, siteFault: siteFaultOf(edge), isUnanswered };
    }),
  );
  const isPlaced = client.coordinates !== undefined;
  const seen = considered.flatMap(({ pool: { pool }, rtt: { rttMs, source } }) =>
    isPlaced || source !== "geography" ? [{ pool, rttMs }] : [],
  );
  const { lastNode } = own;
  const request = { candidates, rules, lastNode, tieKey: `${site}\0${group}` };
  const decided = decideSteering(request);
  const pools = considered.map(({ pool }) => pool);
  const notes = listUnjudged(policy, pools);
  if (notes.length > 0) ports.events.expressionsFailed(notes);
  return { ...decided, request, group, seen, policy: policy.name, notes };
}

/** Open ones first, in the order of the hash: an edge more or less in a pool moves few clients. */
function consideredEdges(pool: FleetPool, group: string, isOpen: (edge: FleetEdge) => boolean): readonly FleetEdge[] {
  if (pool.edges.length <= EDGES_PER_POOL_MAX) return pool.edges;
  const byNode = new Map(pool.edges.map((edge) => [edge.node, edge]));
  const ordered = rankByHash(group, [...byNode.keys()]).flatMap((node) => byNode.get(node) ?? []);
  return [...ordered.filter(isOpen), ...ordered.filter((edge) => !isOpen(edge))].slice(0, EDGES_PER_POOL_MAX);
}

/** A published site is served where a release is active; what an edge has not said yet, its assignment promises. */
function findSiteFault(view: DesiredView, { pool, sites }: FleetEdge, site: string): string | undefined {
  if (view.sites.get(site)?.pull !== undefined) return undefined;
  if (sites === undefined) {
    const isAssigned = view.assignments.get(pool)?.spec.sites.includes(site) === true;
    return isAssigned ? undefined : "the node has not reported, and the site is not assigned to its pool";
  }
  const isActive = sites.some((status) => status.site === site && status.activeGeneration > 0);
  return isActive ? undefined : "no release of the site is active there";
}

function record({ explain, clock, random }: SteeringPorts, site: string, decided: Decided): string {
  const { group, policy, notes, considered: candidates, request } = decided;
  const id = `d-${Buffer.from(random.bytes(DECISION_ID_BYTES)).toString("base64url")}`;
  const what = { client: group, policy, notes, site, candidates };
  explain.recordContent({ kind: "content", id, atMs: clock.nowMs(), ...what }, { request, decision: decided });
  return id;
}

/** The best edge of each pool. */
async function issueProbes(
  { probeTokens, memory }: SteeringPorts,
  ranked: readonly EdgeCandidate[],
  address: string,
): Promise<SteerAnswer["probes"]> {
  const byPool = new Map<string, FleetEdge>();
  for (const { edge } of ranked) if (!byPool.has(edge.pool)) byPool.set(edge.pool, edge);
  const edges = [...byPool.values()].slice(0, PROBES_MAX);
  memory.issued(
    address,
    edges.map(({ node }) => node),
  );
  return Promise.all(
    edges.map(({ node, pool, contentUrl }) => probeTokens.issue({ node, pool, session: undefined }, contentUrl)),
  );
}

async function measure(ports: SteeringPorts, results: readonly ProbeResult[], address: string) {
  const { memory, watch, events } = ports;
  const believing = { ...ports, facts: ports.fleet };
  const { measurements, notes, firstFailure } = await believeProbes(believing, results, ({ node, issued }) => {
    if (issued?.session === undefined) return;
    throw new Failure("token-invalid", `the answer of ${node} is to a session's probe: bring it there`);
  });
  if (measurements.length === 0 && firstFailure !== undefined) throw firstFailure;
  const client = ports.locate(address);
  const answers = measurements.map(({ node, pool, samplesMs }) => ({ node, pool, rttMs: medianOf(samplesMs) }));
  for (const measurement of measurements) await learn(ports, measurement, { client, address });
  for (const node of memory.answered(address, answers)) watch.failed(node, client.groups[0] ?? address);
  events.measured(measurements.length);
  return { accepted: measurements.length, notes };
}

/** What the client says counts in full for itself; for its group it is few samples among many. */
async function learn(
  { memory, rttMap, probeTrust, ledger, watch, clock, fleet }: SteeringPorts,
  { node, pool, samplesMs, freeSlots, ageMs, issued }: Measurement,
  { client, address }: { readonly client: LocatedClient; readonly address: string },
): Promise<void> {
  watch.answered(node);
  await ledger.probed({ pool, freeSlots, ageMs });
  // What another replica asked for is recorded there.
  if (issued === undefined) return;
  const taken = memory.takeSamples(address, pool, samplesMs.length);
  const trustRatio = probeTrust.ratioOf(client.groups[0] ?? address);
  const ends = endsOf(client, fleet.findPool(pool));
  const sample = { pool, atMs: clock.nowMs(), source: "probe", trustRatio, ends } as const;
  for (const rttMs of samplesMs.slice(0, taken)) rttMap.record(client.groups, { ...sample, rttMs });
}

function medianOf(samplesMs: readonly number[]): number {
  const sorted = samplesMs.toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length / 2) - 1] ?? 0;
}
