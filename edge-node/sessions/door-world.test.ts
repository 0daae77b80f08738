/** An edge's door with real keys, certificates, gRPC agents and HTTP clients, on a clock that a test advances. */
import { createServer, request } from "node:http";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { MessageInitShape } from "@bufbuild/protobuf";
import t, { type Test } from "tap";
import { encodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { setDigestOf } from "#contracts/codec/set-digest.ts";
import type { Watermark } from "#contracts/generated/perigee/v1/common_pb.js";
import {
  type AgentMessageSchema,
  type EndSession,
  type LeaseAnswerSchema,
  type LeaseRequest,
  SiteControl,
} from "#contracts/generated/perigee/v1/site_pb.js";
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { type PlacementClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { POOL_BATCH_CONTEXT } from "#domain/desired-state.ts";
import { Failure } from "#domain/failure.ts";
import type { RevocationSpec } from "#domain/fleet/revocation.ts";
import type { AnyResource } from "#domain/resource.ts";
import { systemClock } from "#platform/clock.ts";
import { BoundedQueue } from "#platform/concurrency/bounded-queue.ts";
import { loadConfig } from "#platform/config/load.ts";
import { createGrpcClient, type GrpcClient } from "#platform/grpc/client.ts";
import { PING_MS } from "#platform/grpc/peer-link.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import {
  type Authority,
  createAuthority,
  createCertificateRequest,
  issueCertificate,
} from "#platform/identity/authority.ts";
import { formatPemChain } from "#platform/identity/certificates.ts";
import { type PeerIdentity, serverNameOf } from "#platform/identity/peer.ts";
import { exportPrivateKey, generateSigningKey, signBytes } from "#platform/identity/signatures.ts";
import { signToken, type TokenSigner } from "#platform/identity/tokens.ts";
import { createLogger } from "#platform/logging.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";
import { OriginAddresses } from "#platform/origin-addresses.ts";
import { systemRandom } from "#platform/random.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { type ClientKey, createClientKey } from "../../client/session/key.ts";
import { until } from "../../test/simulation/until.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { edgeConfigSchema } from "../config.ts";
import { isRevoked, viewOf } from "../desired-state/desired-view.ts";
import { POOL_SET_MIGRATIONS, PoolSet, type SignedBatch } from "../desired-state/pool-set.ts";
import { hostTable } from "../published/hosts.ts";
import type { SessionDoor, SessionPorts } from "../session-port.ts";
import { openSessionDoor } from "./session-door.ts";

export const EDGE: PeerIdentity = { role: "edge", pool: "near", name: "near-1" };
export const SCHEDULER: PeerIdentity = { role: "scheduler", pool: "-", name: "sched-1" };
const SPECS: Readonly<Record<string, object>> = {
  "Node/near-1": { role: "edge", pool: "near", cordoned: false, draining: false },
  "Node/near-2": { role: "edge", pool: "near", cordoned: false, draining: false },
  "NodePool/near": {
    region: "eu",
    coordinates: { latitude: 1, longitude: 1 },
    autonomyDurationSeconds: 3600,
    relay: false,
  },
  "RenderApp/hall": {
    bundle: { site: "scenes", path: "/hall.json" },
    needs: { gpuShareRatio: 0.5, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 14_400_000 },
    classes: [{ name: "small", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 72 }],
  },
};
const agentSpec = { role: "agent", pool: "near", cordoned: false, draining: false };

/** What an agent does with a lease request; undefined: it says nothing. */
export type Granting = (request: LeaseRequest) => MessageInitShape<typeof LeaseAnswerSchema> | undefined;

export class World {
  readonly clock = new VirtualClock(systemClock.nowMs());
  readonly #t: Test;
  readonly authority: Authority;
  readonly #streamKey = generateSigningKey();
  readonly tokenKey = generateSigningKey();
  readonly #signers = new Map<string, TokenSigner>();
  readonly #specs: Map<string, object>;
  readonly set: PoolSet;
  metrics = createMetrics("edge-node");
  readonly reports: { kind: string; value: object }[] = [];
  readonly prefetched: string[] = [];
  /** What the disk says to a report. */
  reportFailure: Failure | undefined;
  isCutOff = false;
  changes = 0;
  #door: SessionDoor | undefined;
  #url = "";

  private constructor(t: Test, authority: Authority, specs: Readonly<Record<string, object>>) {
    this.#t = t;
    this.authority = authority;
    this.#specs = new Map(Object.entries({ ...SPECS, ...specs }));
    const database = openDatabase(":memory:", { migrations: POOL_SET_MIGRATIONS, durability: "full" });
    const keys = new Map([[this.#streamKey.keyId, this.#streamKey.publicKey]]);
    this.set = new PoolSet(database, { pool: "near", keys: () => keys });
    this.#advanceSet();
  }

  static async open(t: Test, specs: Readonly<Record<string, object>> = {}): Promise<World> {
    const world = new World(t, await createAuthority("test", { clock: systemClock, random: systemRandom }), specs);
    await world.start();
    return world;
  }

  get door(): SessionDoor {
    if (this.#door === undefined) throw new Error("the door is closed");
    return this.#door;
  }

  get url(): string {
    return this.#url;
  }

  /** The edge's process, as far as its door goes; again after `stop`. */
  async start(): Promise<void> {
    this.metrics = createMetrics("edge-node");
    const server = createServer((incoming, response) => {
      if (!this.door.handle(incoming, response)) response.writeHead(421).end("not the door's");
    });
    const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
    this.#url = `http://127.0.0.1:${port}`;
    const door = await openSessionDoor(await this.#ports());
    this.#door = door;
    const stop = async () => {
      if (this.#door !== door) return;
      this.#door = undefined;
      await closeServer(server);
      await door[Symbol.asyncDispose]();
    };
    this.#stop = stop;
    this.#t.teardown(stop);
  }

  #stop: () => Promise<void> = async () => undefined;

  stop(): Promise<void> {
    return this.#stop();
  }

  async signer(identity: PeerIdentity, authority = this.authority): Promise<TokenSigner> {
    const key = `${authority.key.keyId}/${identity.role}/${identity.pool}/${identity.name}`;
    const known = this.#signers.get(key);
    if (known !== undefined) return known;
    const signing = generateSigningKey();
    const options = { clock: systemClock, random: systemRandom, lifetimeMs: 86_400_000 };
    const request = await createCertificateRequest(signing);
    const signer = { key: signing, chain: [await issueCertificate(authority, request, identity, options)] };
    this.#signers.set(key, signer);
    return signer;
  }

  async pair(identity: PeerIdentity, authority = this.authority) {
    const { key, chain = [] } = await this.signer(identity, authority);
    return { keyPem: exportPrivateKey(key), chainPem: formatPemChain(chain) };
  }

  get authoritiesPem(): string {
    return formatPemChain([this.authority.certificate]);
  }

  /** Undefined deletes. The agents are told as the edge is. */
  setResource(key: string, spec: object | undefined): void {
    if (spec === undefined) this.#specs.delete(key);
    else this.#specs.set(key, spec);
    this.#advanceSet();
    this.#door?.passOn(this.#last);
  }

  async counted(name: string, labels?: string): Promise<number> {
    const { text } = await this.metrics.render();
    const [, value = "0"] = text.split(`\nperigee_edge_node_${name}${labels === undefined ? " " : `{${labels}}`}`);
    return Number.parseFloat(value);
  }

  nowSeconds(): number {
    return Math.floor(this.clock.nowMs() / 1000);
  }

  async placement(client: Client, changes: Partial<PlacementClaims> = {}, signedBy = SCHEDULER, by = this.authority) {
    const claims: PlacementClaims = {
      ...{ session: "s-12345678", attempt: 1, app: "hall", tier: "strict", pool: "near", renderClass: "small" },
      cnf: { jkt: client.thumbprint },
      exp: this.nowSeconds() + 30,
      budget: {
        ...{ budgetMs: 30, networkMsP95: 4, renderEncodeMsP95: 8, decodeJitterMs: 6, serialisationMs: 2 },
        rttLimitMs: 14,
      },
      ...changes,
    };
    return signToken(TOKEN_TYPES.placement, claims, await this.signer(signedBy, by));
  }

  appToken(changes: object = {}, key = this.tokenKey): Promise<string> {
    const exp = this.nowSeconds() + 3600;
    const claims = { sub: "hall", origins: ["http://vr.test"], maxSessions: 10, jti: "app-token-1", exp, ...changes };
    return signToken(TOKEN_TYPES.app, claims, { key });
  }

  #last: SignedBatch = { payload: new Uint8Array(), signature: new Uint8Array(), keyId: "" };

  #advanceSet(): void {
    const revision = (this.set.watermark?.revision ?? 0) + 1;
    const resources = [...this.#specs].map(([key, spec]) => resourceOf(key, spec, revision));
    const rows = resources.map((resource) => ({
      ...{ revision, kind: resource.kind, name: resource.metadata.name, resource },
    }));
    const payload = encodePoolBatch({
      ...{ epoch: 1, pool: "near", from: 0, to: revision, snapshot: true, part: 0, last: true, rows },
      setDigest: setDigestOf(resources),
    });
    const signature = signBytes(POOL_BATCH_CONTEXT, payload, this.#streamKey);
    this.#last = { payload, signature, keyId: this.#streamKey.keyId };
    this.set.apply(this.#last);
  }

  async #ports(): Promise<SessionPorts> {
    const { set, clock, metrics, reports } = this;
    const signer = await this.signer(EDGE);
    const { keyPem, chainPem } = await this.pair(EDGE);
    const pair = { keyPem, chainPem: chainPem + this.authoritiesPem };
    const tokenKeys = new Map([[this.tokenKey.keyId, this.tokenKey.publicKey]]);
    const { authoritiesPem } = this;
    const local = "127.0.0.1:0";
    const configured = JSON.stringify({
      name: "near-1",
      listen: { content: local, site: local, siteEnrolment: local, admin: local },
      contentUrl: this.#url,
      hostname: "near-1.edge.test",
    });
    return {
      ...{ set, clock, metrics, random: systemRandom, incarnation: "edge-1", softwareVersion: "0.1.0" },
      config: loadConfig(edgeConfigSchema, { text: configured }),
      origins: new OriginAddresses([{ enrolment: local, nodeRpc: local, delivery: local }], systemRandom),
      logger: createLogger({ program: "edge-node", level: "silent" }),
      identity: {
        peer: EDGE,
        trust: {
          ...{ authorities: [this.authority.certificate], tokenKeys, epoch: 1 },
          ...{ streamKeys: new Map(), publishKeys: new Map() },
        },
        ...{ expiresAtMs: clock.nowMs() + 86_400_000, serial: "01" },
        pair: () => pair,
        clientTls: (serverName) => ({ authoritiesPem, own: pair, serverName }),
        serverTls: (clientCertificate) => ({ ...pair, authoritiesPem, clientCertificate }),
        signer: () => signer,
        onRenewed: () => ({ [Symbol.dispose]: () => undefined }),
        [Symbol.asyncDispose]: async () => undefined,
      },
      view: () => viewOf(set.resources, "near"),
      siteOf: (host) => {
        const { sites } = viewOf(set.resources, "near");
        return sites.get(hostTable(sites.values(), "near-1.edge.test").siteOf(host) ?? "");
      },
      isRevoked: (subject: RevocationSpec["subject"]) => isRevoked(set.resources, subject),
      ...{ isCutOff: () => this.isCutOff, isServed: (site) => site === "served" },
      note: ({ kind, value }) => void reports.push({ kind, value }),
      reports: {
        push: async ({ kind, value }) => {
          if (this.reportFailure !== undefined) throw this.reportFailure;
          reports.push({ kind, value });
        },
      },
      prefetchFile: ({ site, path }) => void this.prefetched.push(`${site}${path}`),
      openObject: async (digest, offset) => {
        if (digest !== "a".repeat(64)) throw new Failure("not-found", "no such object");
        const bytes = Buffer.from("a scene of some bytes").subarray(offset);
        return { sizeBytes: 21, bytes: Readable.from([bytes.subarray(0, 5), bytes.subarray(5)]) };
      },
      onAgentsChanged: () => {
        this.changes += 1;
      },
    };
  }

  /** With a Host field of the test's choice, which fetch does not send. */
  ask(path: string, { host, method = "GET" }: { readonly host: string; readonly method?: string }) {
    const { hostname, port } = new URL(this.#url);
    return new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: string }>((resolve, reject) => {
      request({ hostname, port, path, method, headers: { host }, agent: false }, (response) => {
        const { statusCode: status = 0, headers } = response;
        text(response).then((body) => resolve({ status, headers, body }), reject);
      })
        .once("error", reject)
        .end();
    });
  }

  /** A client's call, at the URL that it proves. */
  async call(method: "POST" | "DELETE", path: string, body: object, headers: Record<string, string> = {}) {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    const said = await response.text();
    return { status: response.status, headers: response.headers, body: said === "" ? undefined : JSON.parse(said) };
  }

  async connect(client: Client, grant: object, changes: object = {}) {
    const path = "/.perigee/v1/sessions";
    const proof = await client.key.prove("POST", `${this.#url}${path}`);
    return this.call("POST", path, { transport: "webrtc", offerSdp: "offer", proof, ...grant, ...changes });
  }

  async callSession(client: Client, session: string, part: "ticket" | "reports" | "watch" | "end", body: object = {}) {
    const path = `/.perigee/v1/sessions/${session}${part === "end" ? "" : `/${part}`}`;
    const method = part === "end" ? "DELETE" : "POST";
    return this.call(method, path, { proof: await client.key.prove(method, `${this.#url}${path}`), ...body });
  }
}

function resourceOf(key: string, spec: object, resourceVersion: number): AnyResource {
  const [kind = "", name = ""] = key.split("/");
  const metadata = { name, labels: {}, generation: 1, resourceVersion, createdAtMs: 1 };
  return parseStoredResource(JSON.stringify({ apiVersion: "perigee.dev/v1", kind, metadata, spec }));
}

export interface Client {
  readonly key: ClientKey;
  readonly thumbprint: string;
}

export async function openClient(world: World): Promise<Client> {
  const { clock } = world;
  const key = await createClientKey({
    nowMs: () => clock.nowMs(),
    monotonicMs: () => clock.monotonicMs(),
    deadline: (ms) => clock.deadline(ms),
    sleep: (ms, signal) => clock.sleep(ms, signal),
  });
  const { thumbprintOf } = await import("#platform/identity/dpop.ts");
  return { key, thumbprint: await thumbprintOf({ ...key.publicKey }) };
}

let counter = 0n;

/** Grants whatever is asked, with the fence of its process. */
export const granting =
  (incarnation: string): Granting =>
  ({ request, grant, offerSdp }) => {
    const claims: { session: string; attempt: number } = JSON.parse(
      Buffer.from(grant.split(".")[1] ?? "", "base64url").toString(),
    );
    counter += 1n;
    return {
      ...{ request, granted: true, session: claims.session, attempt: claims.attempt },
      fence: { incarnation, counter },
      ...{ answerSdp: `answer to ${offerSdp}`, websocketUrl: "ws://127.0.0.1:7431/s" },
      ...{ renderClass: "small", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 72 },
    };
  };

export interface AgentChoices {
  readonly identity?: PeerIdentity;
  readonly authority?: Authority;
  readonly incarnation?: string;
  readonly grant?: Granting;
  readonly slots?: { readonly total: number; readonly free: number };
  readonly isReady?: boolean;
  readonly isEnrolled?: boolean;
  readonly watermark?: Watermark;
}

export class FakeAgent {
  readonly name: string;
  readonly incarnation: string;
  grant: Granting;
  answersPings = true;
  readonly requests: LeaseRequest[] = [];
  readonly ended: EndSession[] = [];
  readonly batches: SignedBatch[] = [];
  readonly sessions = new Map<string, number>();
  pings = 0;
  /** Why its stream ended. */
  end: unknown;
  readonly #stopping = new AbortController();
  readonly #queue = new BoundedQueue<MessageInitShape<typeof AgentMessageSchema>>(64);
  #slots: { readonly total: number; readonly free: number };
  #isReady: boolean;
  readonly #watermark: Watermark | undefined;
  done: Promise<void> = Promise.resolve();

  constructor(name: string, { incarnation = `${name}-1`, grant, slots, isReady, watermark }: AgentChoices) {
    this.#watermark = watermark;
    this.name = name;
    this.incarnation = incarnation;
    this.grant = grant ?? granting(incarnation);
    this.#slots = slots ?? { total: 4, free: 4 };
    this.#isReady = isReady ?? true;
  }

  get hasEnded(): boolean {
    return this.end !== undefined;
  }

  /** Enrolled, connected, and its first status is taken. */
  static async start(t: Test, world: World, name: string, choices: AgentChoices = {}): Promise<FakeAgent> {
    const agent = await FakeAgent.dial(t, world, name, choices);
    await until(
      () => world.door.agentStatuses().some((status) => status.incarnation === agent.incarnation),
      "it is there",
    );
    return agent;
  }

  static async dial(t: Test, world: World, name: string, choices: AgentChoices = {}): Promise<FakeAgent> {
    if (choices.isEnrolled !== false && !world.set.resources.has(`Node/${name}`)) {
      world.setResource(`Node/${name}`, agentSpec);
    }
    const agent = new FakeAgent(name, choices);
    const identity = choices.identity ?? { role: "agent", pool: "near", name };
    const own = await world.pair(identity, choices.authority);
    const client = createGrpcClient(SiteControl, {
      address: world.door.addresses.site,
      tls: { authoritiesPem: world.authoritiesPem, own, serverName: serverNameOf(EDGE) },
    });
    t.teardown(() => {
      agent.kill();
      client[Symbol.dispose]();
    });
    agent.run(client);
    return agent;
  }

  kill(): void {
    this.#stopping.abort(new Failure("unavailable", "killed"));
  }

  send(message: MessageInitShape<typeof AgentMessageSchema>): void {
    this.#queue.push(message);
  }

  sendStatus(slots = this.#slots): void {
    this.#slots = slots;
    const sessions = [...this.sessions].map(([session, attempt]) => ({
      ...{ session, attempt, app: "hall", renderClass: "small", startedAtMs: 1n },
    }));
    const value = {
      ...{ agent: this.name, incarnation: this.incarnation, ready: this.#isReady, reasons: [], sessions },
      slots: [{ renderClass: "small", frameMsP95: 8, ...slots }],
    };
    this.send({ message: { case: "status", value } });
  }

  run(client: GrpcClient<typeof SiteControl>): void {
    this.done = this.#talk(client);
  }

  async #talk(client: GrpcClient<typeof SiteControl>): Promise<void> {
    const { signal } = this.#stopping;
    const queue = this.#queue;
    async function* outgoing() {
      for (;;) yield await queue.take(signal);
    }
    const hello = { incarnation: this.incarnation, softwareVersion: "0.1.0" };
    const watermark = this.#watermark;
    this.send({ message: { case: "hello", value: watermark === undefined ? hello : { ...hello, watermark } } });
    this.sendStatus();
    try {
      for await (const { message } of client.connect(outgoing(), { signal })) {
        if (message.case === "ping") {
          this.pings += 1;
          if (this.answersPings) this.send({ message: { case: "pong", value: { nonce: message.value.nonce } } });
        } else if (message.case === "batch") this.batches.push(message.value);
        else if (message.case === "endSession") this.ended.push(message.value);
        else if (message.case === "leaseRequest") this.#takeRequest(message.value);
      }
      this.end = "ended";
    } catch (error) {
      this.end = error;
    }
  }

  #takeRequest(request: LeaseRequest): void {
    this.requests.push(request);
    const value = this.grant(request);
    if (value === undefined) return;
    this.send({ message: { case: "leaseAnswer", value } });
    if (value.granted !== true || value.session === undefined) return;
    this.sessions.set(value.session, value.attempt ?? 0);
    this.sendStatus({ ...this.#slots, free: this.#slots.total - this.sessions.size });
  }
}

t.test("an agent of the world connects, is pinged, has the set, and is seen", async (t) => {
  const world = await World.open(t);
  const agent = await FakeAgent.start(t, world, "gpu-1");
  t.equal(agent.batches.length, 1);
  await until(() => agent.pings === 1, "a ping at once");
  await world.clock.advance(PING_MS);
  await until(() => agent.pings === 2, "and then at intervals");
  t.match(world.door.agentStatuses(), [{ agent: "gpu-1", ready: true }]);
});
