/** A pool around a render-agent: authority, stream and publish keys, releases, grants, and edges that it can dial. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { fromAgentStatus } from "#contracts/codec/node-status.ts";
import { encodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { setDigestOf } from "#contracts/codec/set-digest.ts";
import {
  type AgentMessage,
  type EdgeMessageSchema,
  type LeaseAnswer,
  type SessionEnded,
  SiteControl,
  SiteEnrolment,
} from "#contracts/generated/perigee/v1/site_pb.js";
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { type PlacementClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { MANIFEST_CONTEXT } from "#domain/content/release.ts";
import { POOL_BATCH_CONTEXT } from "#domain/desired-state.ts";
import { Failure } from "#domain/failure.ts";
import type { AgentStatus } from "#domain/fleet/node.ts";
import type { AnyResource } from "#domain/resource.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { BoundedQueue } from "#platform/concurrency/bounded-queue.ts";
import { type GrpcServer, serviceOf, startGrpcServer } from "#platform/grpc/server.ts";
import {
  type Authority,
  createAuthority,
  createCertificateRequest,
  issueCertificate,
} from "#platform/identity/authority.ts";
import { formatPemChain, pinOf } from "#platform/identity/certificates.ts";
import type { PeerIdentity } from "#platform/identity/peer.ts";
import { exportPrivateKey, exportPublicKey, generateSigningKey, signBytes } from "#platform/identity/signatures.ts";
import { signToken, type TokenSigner } from "#platform/identity/tokens.ts";
import { systemRandom } from "#platform/random.ts";

export const POOL = "near";
export const SCHEDULER: PeerIdentity = { role: "scheduler", pool: "-", name: "sched-1" };
export const THUMBPRINT = "t".repeat(43);
const LIFETIME_MS = 86_400_000;
const JOIN_TOKEN = "a-join-token";
const LOCAL: Address = { host: "127.0.0.1", port: 0 };
const tools = { clock: systemClock, random: systemRandom };

export type EdgeMessageInit = MessageInitShape<typeof EdgeMessageSchema>;

export function digestOf(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export class PoolWorld {
  readonly authority: Authority;
  readonly streamKey = generateSigningKey();
  readonly publishKey = generateSigningKey();
  /** By digest: what edges give out. */
  readonly blobs = new Map<string, Uint8Array>();
  readonly #specs = new Map<string, object>();
  readonly #signers = new Map<string, TokenSigner>();
  revision = 0;

  private constructor(authority: Authority) {
    this.authority = authority;
  }

  static async open(): Promise<PoolWorld> {
    return new PoolWorld(await createAuthority("test", tools));
  }

  get pin(): string {
    return pinOf(this.authority.certificate);
  }

  /** As an operator copies them to the agent's machine. */
  writeJoinToken(folder: string): { readonly tokenFile: string; readonly pin: string } {
    const tokenFile = join(folder, "join-token");
    writeFileSync(tokenFile, JOIN_TOKEN);
    return { tokenFile, pin: this.pin };
  }

  /** The next one contains it. Undefined deletes. */
  setResource(key: string, spec: object | undefined): void {
    if (spec === undefined) this.#specs.delete(key);
    else this.#specs.set(key, spec);
  }

  /** A release of `site` with these files, signed, and its blobs with the edges. */
  publish(site: string, generation: number, contents: Readonly<Record<string, Uint8Array>>, signer = this.publishKey) {
    const files = Object.fromEntries(
      Object.entries(contents).map(([path, bytes]) => {
        this.blobs.set(digestOf(bytes), bytes);
        return [path, { digest: digestOf(bytes), sizeBytes: bytes.byteLength, mediaType: "application/json" }];
      }),
    );
    const bytes = Buffer.from(JSON.stringify({ formatVersion: 1, site, generation, createdAtMs: 1, files }));
    const digest = digestOf(bytes);
    this.blobs.set(digest, bytes);
    const signature = Buffer.from(signBytes(MANIFEST_CONTEXT, bytes, signer)).toString("base64url");
    const manifest = { digest, sizeBytes: bytes.byteLength, signature, keyId: signer.keyId };
    this.setResource(`Release/${site}.${generation}`, { site, generation, manifest, activateAtMs: 0 });
    return digest;
  }

  /** The whole set as it now is, as a snapshot of the next revision. */
  batch(signer = this.streamKey) {
    this.revision += 1;
    const { revision } = this;
    const resources = [...this.#specs].map(([key, spec]) => resourceOf(key, spec, revision));
    const rows = resources.map((resource) => {
      return { revision, kind: resource.kind, name: resource.metadata.name, resource };
    });
    const place = { epoch: 1, pool: POOL, from: 0, to: revision, snapshot: true, part: 0, last: true };
    const payload = encodePoolBatch({ ...place, rows, setDigest: setDigestOf(resources) });
    return { payload, signature: signBytes(POOL_BATCH_CONTEXT, payload, signer), keyId: signer.keyId };
  }

  async signer(identity: PeerIdentity, authority = this.authority): Promise<TokenSigner> {
    const id = `${authority.key.keyId} ${identity.role} ${identity.pool} ${identity.name}`;
    const known = this.#signers.get(id);
    if (known !== undefined) return known;
    const key = generateSigningKey();
    const signer = { key, chain: [await this.issue(await createCertificateRequest(key), identity, authority)] };
    this.#signers.set(id, signer);
    return signer;
  }

  issue(request: Uint8Array, identity: PeerIdentity, authority = this.authority) {
    return issueCertificate(authority, request, identity, { ...tools, lifetimeMs: LIFETIME_MS });
  }

  async placement(changes: Partial<PlacementClaims> = {}, signedBy = SCHEDULER, authority = this.authority) {
    const parts = { networkMsP95: 4, renderEncodeMsP95: 8, decodeJitterMs: 6, serialisationMs: 2 };
    const claims: PlacementClaims = {
      session: "session-1",
      attempt: 1,
      app: "hall",
      tier: "standard",
      pool: POOL,
      renderClass: "tiny",
      cnf: { jkt: THUMBPRINT },
      exp: Math.floor(systemClock.nowMs() / 1000) + 30,
      budget: { budgetMs: 50, ...parts, rttLimitMs: 14 },
      ...changes,
    };
    return signToken(TOKEN_TYPES.placement, claims, await this.signer(signedBy, authority));
  }

  async ticket(changes: object = {}, signedBy: PeerIdentity = { role: "edge", pool: POOL, name: "near-1" }) {
    const exp = Math.floor(systemClock.nowMs() / 1000) + 120;
    const own = { session: "session-1", attempt: 1, app: "hall", tier: "standard", pool: POOL, renderClass: "tiny" };
    const claims = { ...own, cnf: { jkt: THUMBPRINT }, exp, ...changes };
    return signToken(TOKEN_TYPES.resume, claims, await this.signer(signedBy));
  }
}

function resourceOf(key: string, spec: object, resourceVersion: number): AnyResource {
  const [kind = "", name = ""] = key.split("/");
  const metadata = { name, labels: {}, generation: 1, resourceVersion, createdAtMs: 1 };
  return parseStoredResource(JSON.stringify({ apiVersion: "perigee.dev/v1", kind, metadata, spec }));
}

export interface LeaseWish {
  readonly grant: string;
  readonly transport?: "webrtc" | "websocket";
  readonly offerSdp?: string;
  readonly keyThumbprint?: string;
}

/** An edge as its pool's agents see it: it relays their joining, sends batches, and asks for leases when a test says so. */
export class FakeEdge implements AsyncDisposable {
  readonly name: string;
  readonly hellos: AgentMessage[] = [];
  readonly ended: SessionEnded[] = [];
  status: AgentStatus | undefined;
  snapshotsAsked = 0;
  readonly #world: PoolWorld;
  readonly #waiting = new Map<bigint, (answer: LeaseAnswer) => void>();
  #outgoing: BoundedQueue<EdgeMessageInit> | undefined;
  #request = 0n;
  #control: GrpcServer | undefined;
  #enrolment: GrpcServer | undefined;

  private constructor(name: string, world: PoolWorld) {
    this.name = name;
    this.#world = world;
  }

  static async start(name: string, world: PoolWorld, at: { control?: Address; enrolment?: Address } = {}) {
    const edge = new FakeEdge(name, world);
    const { key, chain = [] } = await world.signer({ role: "edge", pool: POOL, name });
    const authoritiesPem = formatPemChain([world.authority.certificate]);
    const pair = { keyPem: exportPrivateKey(key), chainPem: formatPemChain(chain) + authoritiesPem, authoritiesPem };
    edge.#control = await startGrpcServer({
      listen: at.control ?? LOCAL,
      clock: systemClock,
      tls: { ...pair, clientCertificate: "required" },
      services: [edge.#controlService()],
    });
    edge.#enrolment = await startGrpcServer({
      listen: at.enrolment ?? LOCAL,
      clock: systemClock,
      tls: { ...pair, clientCertificate: "none" },
      services: [edge.#enrolmentService()],
    });
    return edge;
  }

  /** As the agent's configuration names it. */
  get configured() {
    return { name: this.name, control: this.#at(this.#control), enrolment: this.#at(this.#enrolment) };
  }

  /** To start another in its place. */
  get at(): { readonly control: Address; readonly enrolment: Address } {
    return { control: this.#control?.address ?? LOCAL, enrolment: this.#enrolment?.address ?? LOCAL };
  }

  get isConnected(): boolean {
    return this.#outgoing !== undefined;
  }

  send(message: EdgeMessageInit): void {
    this.#outgoing?.push(message);
  }

  sendSet(): void {
    this.send({ message: { case: "batch", value: this.#world.batch() } });
  }

  ask(wish: LeaseWish): Promise<LeaseAnswer> {
    return this.askRaw(wish);
  }

  /** Whatever its transport is called. */
  async askRaw(wish: Omit<LeaseWish, "transport"> & { readonly transport?: string }): Promise<LeaseAnswer> {
    const { grant, transport = "websocket", offerSdp = "", keyThumbprint = THUMBPRINT } = wish;
    this.#request += 1n;
    const request = this.#request;
    const answer = new Promise<LeaseAnswer>((resolve) => this.#waiting.set(request, resolve));
    this.send({ message: { case: "leaseRequest", value: { request, grant, transport, offerSdp, keyThumbprint } } });
    return await answer;
  }

  /** As a client does: the same again while the agent was only too slow, up to ten times. */
  async askAgain(wish: LeaseWish): Promise<LeaseAnswer> {
    let answer = await this.ask(wish);
    for (let again = 1; again < 10 && answer.code === "deadline-exceeded"; again += 1) answer = await this.ask(wish);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#outgoing?.close();
    await Promise.all([this.#control?.[Symbol.asyncDispose](), this.#enrolment?.[Symbol.asyncDispose]()]);
  }

  #at(server: GrpcServer | undefined): string {
    return server === undefined ? "" : formatAddress(server.address);
  }

  #controlService() {
    const { blobs } = this.#world;
    return serviceOf(SiteControl, {
      connect: (messages, call) => this.#serve(messages, call.signal),
      async *fetchBlob({ digest }) {
        const bytes = blobs.get(digest);
        if (bytes === undefined) throw new Failure("not-found", `no ${digest}`);
        yield { totalBytes: BigInt(bytes.byteLength), data: new Uint8Array(bytes) };
      },
    });
  }

  async *#serve(messages: AsyncIterable<AgentMessage>, signal: AbortSignal): AsyncGenerator<EdgeMessageInit> {
    const outgoing = new BoundedQueue<EdgeMessageInit>(64);
    this.#outgoing = outgoing;
    const listen = async (): Promise<void> => {
      for await (const message of messages) this.#take(message);
    };
    void listen()
      .catch(() => undefined)
      .finally(() => outgoing.close());
    this.sendSet();
    try {
      for (;;) yield await outgoing.take(signal);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
    } finally {
      if (this.#outgoing === outgoing) this.#outgoing = undefined;
    }
  }

  #take(message: AgentMessage): void {
    switch (message.message.case) {
      case "hello":
        this.hellos.push(message);
        break;
      case "status":
        this.status = fromAgentStatus(message.message.value);
        break;
      case "leaseAnswer":
        this.#waiting.get(message.message.value.request)?.(message.message.value);
        break;
      case "sessionEnded":
        this.ended.push(message.message.value);
        break;
      case "snapshotRequest":
        this.snapshotsAsked += 1;
        break;
      default:
        break;
    }
  }

  #enrolmentService() {
    const world = this.#world;
    const keysOf = (key: ReturnType<typeof generateSigningKey>) => [
      { keyId: key.keyId, spki: new Uint8Array(exportPublicKey(key.publicKey)) },
    ];
    return serviceOf(SiteEnrolment, {
      async enrol({ joinToken, nodeName, certificateRequest }) {
        if (joinToken !== JOIN_TOKEN) throw new Failure("join-token-unknown", "no such token");
        const certificate = await world.issue(certificateRequest, { role: "agent", pool: POOL, name: nodeName });
        return {
          chain: [new Uint8Array(certificate.raw)],
          authorities: [new Uint8Array(world.authority.certificate.raw)],
          role: "agent",
          pool: POOL,
          streamKeys: keysOf(world.streamKey),
          publishKeys: keysOf(world.publishKey),
          tokenKeys: [],
          epoch: 1n,
        };
      },
      async renew() {
        throw new Failure("unavailable", "not here");
      },
    });
  }
}
