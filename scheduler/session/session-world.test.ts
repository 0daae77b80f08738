/** A fleet, its clients and a scheduler for the tests of sessions: real keys, certificates and proofs on a clock that stands still. */
import t, { type Test } from "tap";
import type { CreateSession, PlacementAnswer, ProbeTarget } from "#contracts/operator-api/sessions.ts";
import { type ProbeAnswerClaims, parseClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { type Failure, isFailure } from "#domain/failure.ts";
import type { AgentStatus } from "#domain/fleet/node.ts";
import { ProbeTrust } from "#domain/latency/probe-trust.ts";
import { RttMap } from "#domain/latency/rtt-map.ts";
import type { PlacementPolicySpec } from "#domain/policy/placement-policy.ts";
import type { NamedPolicy } from "#domain/policy/policy-match.ts";
import type { RenderAppSpec } from "#domain/session/render-app.ts";
import type { IceServers } from "#platform/ice/ice-servers.ts";
import {
  type Authority,
  createAuthority,
  createCertificateRequest,
  issueCertificate,
} from "#platform/identity/authority.ts";
import type { PeerIdentity } from "#platform/identity/peer.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { signToken, type TokenSigner, verifyToken } from "#platform/identity/tokens.ts";
import { seededRandom, systemRandom } from "#platform/random.ts";
import { type ClientKey, createClientKey } from "../../client/session/key.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { createExplainStore, type ExplainStore } from "../explain/explain-store.ts";
import type { LocatedClient } from "../geo/client-groups.ts";
import { EmbeddedLedger } from "../ledger/embedded-ledger.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { EdgeFacts, PoolFacts } from "../placement/pool-facts.ts";
import { type DemandReports, UNCOUNTED } from "../pricing/demand-counter.ts";
import { type PriceSource, WITHOUT_PRICES } from "../pricing/price-source.ts";
import { ProbeTokens } from "./probe-tokens.ts";
import { createSessionService, type SessionEvents, type SessionService } from "./session-service.ts";

export const BASE = "http://scheduler.test/v1/sessions";
const ADDRESS = "192.0.2.7";
const lisbon = { latitude: 38.72, longitude: -9.14 };
/** 4 ms of decoding and 2 of jitter assumed, 2 ms on the access link: 14 ms of the strict 30 are left for the network. */
const app: RenderAppSpec = {
  bundle: { site: "shop", path: "/hall.json" },
  needs: { gpuShareRatio: 0.5, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 14_400_000 },
  classes: [{ name: "small", eyeWidthPixels: 512, eyeHeightPixels: 512, frameRateHz: 72 }],
};
export const queueing: PlacementPolicySpec = {
  apps: ["hall"],
  sites: [],
  latencyBudgetMs: {},
  constraints: [],
  preferences: [],
  capacityReserveRatio: 0,
  onNoFit: "queue",
  sessionSecondsMax: 3600,
  stickinessMs: 2,
};

interface FakePool {
  readonly facts: PoolFacts;
  readonly slots: { total: number; free: number };
  readonly sessions: string[];
}

interface ReplicaChoices {
  readonly wishes?: DemandReports;
  readonly prices?: PriceSource;
  readonly explain?: ExplainStore;
  readonly iceServers?: IceServers;
}

/** A fleet whose edges hold real certificates, on a clock that stands still. */
export class World {
  readonly clock = new VirtualClock();
  readonly random = seededRandom(1);
  readonly pools = new Map<string, FakePool>();
  policies: NamedPolicy[] = [];
  /** What pools lack of the hall's scene, by name. */
  readonly missingMs = new Map<string, number>();
  readonly counted: string[] = [];
  /** What is known of every client. */
  who: Pick<LocatedClient, "country" | "asn" | "address" | "network"> = {};
  /** Of every client that comes now. */
  groups: readonly string[] = ["prefix:192.0.2.0/24"];
  readonly #authority: Authority;
  readonly #signers = new Map<string, TokenSigner>();

  private constructor(authority: Authority) {
    this.#authority = authority;
  }

  static async create(): Promise<World> {
    const clock = new VirtualClock();
    const world = new World(await createAuthority("test", { clock, random: systemRandom }));
    for (const name of ["near", "middle", "far"]) await world.addPool(name);
    return world;
  }

  async addPool(pool: string): Promise<void> {
    const node = `${pool}-1`;
    await this.signer({ role: "edge", pool, name: node });
    this.setPool(pool, {});
  }

  setPool(pool: string, changes: Partial<PoolFacts>, edgeChanges: Partial<EdgeFacts> = {}): void {
    const before = this.pools.get(pool);
    const edge = { node: `${pool}-1`, contentUrl: `http://${pool}-1.test`, state: "connected" as const };
    const facts: PoolFacts = {
      ...{ pool, labels: {}, coordinates: lisbon, excludedAgents: new Set<string>() },
      edges: [{ ...edge, cordoned: false, draining: false, ...edgeChanges }],
      ...changes,
    };
    const slots = before?.slots ?? { total: 4, free: 4 };
    this.pools.set(pool, { facts, slots, sessions: before?.sessions ?? [] });
  }

  listPools(): readonly PoolFacts[] {
    return [...this.pools.values()].map(({ facts }) => facts);
  }

  async signer(identity: PeerIdentity): Promise<TokenSigner> {
    const known = this.#signers.get(identity.name);
    if (known !== undefined) return known;
    const key = generateSigningKey();
    const options = { clock: this.clock, random: systemRandom, lifetimeMs: 86_400_000 };
    const request = await createCertificateRequest(key);
    const signer = { key, chain: [await issueCertificate(this.#authority, request, identity, options)] };
    this.#signers.set(identity.name, signer);
    return signer;
  }

  get trust() {
    return { authorities: [this.#authority.certificate] };
  }

  /** A scheduler that knows nothing yet but what operators wrote and nodes report. */
  async replica(
    name = "s1",
    ledger: Ledger = new EmbeddedLedger(this.clock),
    { wishes = UNCOUNTED, prices = WITHOUT_PRICES, explain = createExplainStore(), ...others }: ReplicaChoices = {},
  ) {
    const signer = await this.signer({ role: "scheduler", pool: "-", name });
    const identity = { signer: () => signer, trust: this.trust };
    const { clock, random } = this;
    const events: SessionEvents = {
      created: () => this.counted.push("created"),
      answered: (operation, _app, answer) => this.counted.push(`${operation} ${answer.state}`),
      kept: () => this.counted.push("kept"),
      ended: () => this.counted.push("ended"),
      placedTogether: (sessions, given) => this.counted.push(`${given} of ${sessions} together`),
      refused: (operation, failure) => this.counted.push(`${operation} refused ${failure.code}`),
      answerRefused: (failure) => this.counted.push(`answer ${failure.code}`),
      expressionsFailed: (notes) => this.counted.push(...notes),
    };
    const rttMap = new RttMap({ groupsMax: 100, ageMsMax: 3_600_000 });
    const probeTrust = new ProbeTrust(100);
    const service = createSessionService({
      ...{ ledger, explain, events, identity, clock, random, rttMap, probeTrust, wishes, prices, ...others },
      facts: {
        findApp: (name) => (name === "hall" ? app : undefined),
        listPolicies: () => this.policies,
        listPools: () => this.listPools(),
        findPool: (pool) => this.pools.get(pool)?.facts,
      },
      locate: (address) => ({ groups: this.groups, coordinates: lisbon, address, ...this.who }),
      bundles: { missingMs: (pool, site) => (site === app.bundle.site ? (this.missingMs.get(pool) ?? 0) : 0) },
      probeTokens: new ProbeTokens({ identity, clock, random }),
      watch: { answered: () => undefined },
    });
    const replica = { service, ledger, explain, rttMap, probeTrust };
    await this.report(replica);
    return replica;
  }

  async report({ ledger }: { ledger: Ledger }): Promise<void> {
    const measured = { startedAtMs: 0, remotePathMsP50: 0, remotePathMsP95: 0, rttMs: 0 };
    for (const [pool, { slots, sessions }] of this.pools) {
      const status: AgentStatus = {
        ...{ agent: `${pool}-a`, incarnation: "1", ready: true, reasons: [] },
        slots: [{ renderClass: "small", frameMsP95: 8, ...slots }],
        sessions: sessions.map((session) => ({
          ...{ session, attempt: 1, app: "hall", renderClass: "small", ...measured },
        })),
      };
      await ledger.report({ pool, node: `${pool}-1`, agents: [status] });
    }
  }

  /** What the edge of a pool answers to a probe token. */
  async answer(target: ProbeTarget, changes: Partial<ProbeAnswerClaims> = {}, signedBy = target.node): Promise<string> {
    const trust = { kind: "chain", ...this.trust, roles: ["scheduler"] } as const;
    const { claims } = await verifyToken(target.token, TOKEN_TYPES.probe, trust, this.clock.nowMs());
    const { jti, node, pool } = parseClaims("probe", claims);
    const iat = Math.floor(this.clock.nowMs() / 1000);
    const freeSlots = { small: this.pools.get(pool)?.slots.free ?? 0 };
    const answer = { probe: jti, node, pool, freeSlots, iat, exp: iat + 30, ...changes };
    return signToken(TOKEN_TYPES.probeAnswer, answer, await this.signer({ role: "edge", pool, name: signedBy }));
  }
}

export class Client {
  readonly key: ClientKey;
  readonly #world: World;

  constructor(world: World, key: ClientKey) {
    this.#world = world;
    this.key = key;
  }

  static async create(world: World): Promise<Client> {
    const { clock } = world;
    const clientClock = {
      nowMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs(),
      deadline: (ms: number) => clock.deadline(ms),
      sleep: (ms: number) => clock.sleep(ms),
    };
    return new Client(world, await createClientKey(clientClock));
  }

  wish(changes: Partial<CreateSession> = {}): CreateSession {
    return { app: "hall", tier: "strict", key: this.key.publicKey, device: { name: "test" }, ...changes };
  }

  create(
    service: SessionService,
    { maxSessions = 100, sub = "hall", tenant }: { maxSessions?: number; sub?: string; tenant?: string } = {},
    changes: Partial<CreateSession> = {},
  ) {
    const of = tenant === undefined ? {} : { tenant };
    const claims = { ...of, sub, origins: ["http://a.test"], maxSessions, jti: "app-token-1", exp: 2_000_000_000 };
    return service.create(claims, this.wish(changes), ADDRESS);
  }

  async results(candidates: readonly ProbeTarget[], rttByPool: Record<string, number>) {
    const answered = candidates.filter(({ pool }) => Object.hasOwn(rttByPool, pool));
    return Promise.all(
      answered.map(async (target) => ({
        answer: await this.#world.answer(target),
        rttMs: [rttByPool[target.pool] ?? 0, rttByPool[target.pool] ?? 0, rttByPool[target.pool] ?? 0],
      })),
    );
  }

  async place(service: SessionService, session: string, results: { answer: string; rttMs: number[] }[]) {
    const url = `${BASE}/${session}/probes`;
    return service.place({ session, url }, { proof: await this.key.prove("POST", url), results });
  }

  async end(service: SessionService, session: string): Promise<void> {
    const url = `${BASE}/${session}`;
    await service.end({ session, url }, { proof: await this.key.prove("DELETE", url) });
  }

  async renew(
    service: SessionService,
    {
      session,
      placement,
      reason,
    }: { session: string; placement: string; reason: "promotion" | "pool-lost" | "refused" | "draining" },
    results: { answer: string; rttMs: number[] }[] = [],
  ) {
    const url = `${BASE}/${session}/renew`;
    const proof = await this.key.prove("POST", url);
    return service.renew({ session, url, clientAddress: ADDRESS }, { proof, placement, reason, results });
  }
}

export async function failureOf(run: Promise<unknown>): Promise<Failure> {
  try {
    await run;
  } catch (error) {
    if (isFailure(error)) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

export function placedIn(answer: PlacementAnswer | undefined) {
  if (answer === undefined || answer.state === "queued") throw new Error(`not placed: ${JSON.stringify(answer)}`);
  return answer;
}

export type Replica = Awaited<ReturnType<World["replica"]>>;
export type Rtts = Readonly<Record<string, number>>;

/** A session at one scheduler, whose client always shows the last placement that it was given. */
export class Running {
  readonly client: Client;
  readonly session: string;
  placement: string;
  pool: string;
  readonly #replica: Replica;

  private constructor(client: Client, replica: Replica, placed: { session: string; placement: string; pool: string }) {
    this.client = client;
    this.#replica = replica;
    [this.session, this.placement, this.pool] = [placed.session, placed.placement, placed.pool];
  }

  static async begin(world: World, replica: Replica, rtts: Rtts): Promise<Running> {
    const client = await Client.create(world);
    const { session, candidates } = await client.create(replica.service);
    const results = await client.results(candidates, rtts);
    const { placement, pool } = placedIn(await client.place(replica.service, session, results));
    return new Running(client, replica, { session, placement, pool });
  }

  /** Shows fresh probes; answers where it is then. */
  async renew(rtts: Rtts, reason: "promotion" | "pool-lost" = "promotion") {
    const { service } = this.#replica;
    const results = Object.keys(rtts).length === 0 ? [] : await this.#probe(rtts);
    const { session, placement } = this;
    const answer = await this.client.renew(service, { session, placement, reason }, results);
    if (answer !== undefined && answer.state !== "queued") {
      [this.placement, this.pool] = [answer.placement, answer.pool];
    }
    return answer;
  }

  async #probe(rtts: Rtts) {
    const { service } = this.#replica;
    const other = await this.client.create(service);
    const results = await this.client.results(other.candidates, rtts);
    await this.client.end(service, other.session);
    return results;
  }

  get why(): string {
    return this.#replica.explain.explainSession(this.session)?.lines.join("\n") ?? "";
  }
}

export const RTT = { near: 4, middle: 10, far: 60 };

export async function start(t: Test, rtts: Record<string, number> = RTT) {
  const world = await World.create();
  const client = await Client.create(world);
  const replica = await world.replica();
  const created = await client.create(replica.service);
  const results = await client.results(created.candidates, rtts);
  const { session } = created;
  t.equal(created.candidates.length, world.pools.size);
  return { world, client, ...replica, replica, ...created, session, results };
}

t.test("an edge of the world answers a probe so that the scheduler believes it", async (t) => {
  const { results, candidates } = await start(t);
  t.equal(results.length, candidates.length);
});
