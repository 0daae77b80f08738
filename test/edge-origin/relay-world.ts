/** An origin and the edges of a pool that relay for one another, in one process on a virtual clock; streams are real bytes. */
import { create, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { Test } from "tap";
import { NodeMessageSchema, OriginMessageSchema } from "#contracts/generated/perigee/v1/node_pb.js";
import { Failure } from "#domain/failure.ts";
import { isRevoked } from "#edge-node/desired-state/desired-view.ts";
import { POOL_SET_MIGRATIONS, PoolSet, type SignedBatch } from "#edge-node/desired-state/pool-set.ts";
import { type ConnectOrigin, OriginLink } from "#edge-node/link/origin-link.ts";
import { tierViewOf } from "#edge-node/pool/membership.ts";
import { RelayRefused } from "#edge-node/relay/refusals.ts";
import { Relay } from "#edge-node/relay/relay.ts";
import { relaysBefore } from "#edge-node/relay/relay-order.ts";
import { RelayRoute } from "#edge-node/relay/relay-route.ts";
import { REPORT_QUEUE_MIGRATIONS, ReportQueue } from "#edge-node/reports/report-queue.ts";
import { checkMember } from "#edge-node/sessions/membership.ts";
import { Members } from "#origin/enrolment/members.ts";
import { PeerAddresses } from "#origin/enrolment/peer-addresses.ts";
import { type Written, writeResource } from "#origin/log/resources.ts";
import { openSqliteLog } from "#origin/log/sqlite-log.ts";
import { Distribution } from "#origin/node-rpc/distribution.ts";
import { serveNodes } from "#origin/node-rpc/node-sync.ts";
import { ObservedNodes } from "#origin/observed/observed-nodes.ts";
import { RECORDS_MIGRATIONS, recordsOn } from "#origin/records/records.ts";
import type { Clock } from "#platform/clock.ts";
import type { ConnectedPeer } from "#platform/identity/peer.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { seededRandom } from "#platform/random.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";

export const POOL = "near";
/** Longer than an edge that is linked directly waits before it looks for a relay. */
export const LOOKED_MS = 35_000;

const open = (migrations: readonly string[]) => openDatabase(":memory:", { migrations, durability: "normal" });

/** As a transport would bring them. */
async function* overWire<S extends typeof NodeMessageSchema | typeof OriginMessageSchema>(
  schema: S,
  messages: AsyncIterable<MessageInitShape<S>>,
): AsyncGenerator<MessageShape<S>> {
  for await (const message of messages) yield fromBinary(schema, toBinary(schema, create(schema, message)));
}

export class RelayWorld {
  readonly clock = new VirtualClock();
  readonly random = seededRandom(7);
  readonly log = openSqliteLog(":memory:");
  readonly recordsDatabase = open(RECORDS_MIGRATIONS);
  readonly records = recordsOn(this.recordsDatabase);
  readonly observed = new ObservedNodes();
  readonly key = generateSigningKey();
  readonly edges = new Map<string, RelayEdge>();
  /** What the origin says of links. */
  readonly told: string[] = [];
  /** Nodes with a stream of their own to the origin. */
  readonly direct = new Set<string>();
  /** Nodes that no batch reaches. */
  readonly unsent = new Set<string>();
  readonly distribution: Distribution;
  readonly serve: ReturnType<typeof serveNodes>;
  isOriginReached = true;
  originDown = new AbortController();

  constructor(t: Test) {
    const { clock, log, records, observed } = this;
    const members = new Members(log);
    const distribution = new Distribution(log, this.key);
    this.distribution = distribution;
    const say = (what: string) => (peer: ConnectedPeer | { name: string }) =>
      void this.told.push(`${what} ${peer.name}`);
    const stopping = new AbortController();
    this.serve = serveNodes({
      ...{ members, distribution, observed, records, clock, peerAddresses: new PeerAddresses(log, clock) },
      events: {
        linkUp: say("up"),
        linkDown: say("down"),
        identityTwice: say("twice"),
        logBehind: say("behind"),
        linkPutOff: () => undefined,
      },
    });
    for (const follow of [distribution.run(stopping.signal), members.follow(stopping.signal)])
      follow.catch(() => undefined);
    t.teardown(async () => {
      for (const edge of this.edges.values()) edge.kill();
      stopping.abort();
      await clock.settle();
    });
    const spec = { region: POOL, coordinates: { latitude: 0, longitude: 0 }, autonomyDurationSeconds: 60, relay: true };
    this.write({ kind: "NodePool", metadata: { name: POOL, labels: {} }, spec });
  }

  write(written: Written): void {
    writeResource(this.log, written, this.clock.nowMs());
  }

  /** Something that the pool gets. */
  change(name: string): void {
    const spec = { sites: [name], prefetch: "none" } as const;
    this.write({ kind: "ContentPolicy", metadata: { name, labels: {} }, spec });
  }

  enrol(name: string, pool = POOL): void {
    const spec = { role: "edge", pool, cordoned: false, draining: false } as const;
    this.write({ kind: "Node", metadata: { name, labels: {} }, spec });
  }

  /** Enrolled and started. */
  add(...names: readonly string[]): readonly RelayEdge[] {
    for (const name of names) this.enrol(name);
    return names.map((name) => this.start(name));
  }

  start(name: string, set?: PoolSet): RelayEdge {
    const edge = new RelayEdge(this, name, set);
    this.edges.set(name, edge);
    return edge;
  }

  /** `node id` of each record, in order. */
  recorded(): readonly string[] {
    const rows = this.recordsDatabase.prepare("SELECT node, id FROM records ORDER BY node, id").all();
    return rows.map(({ node, id }) => `${node} ${id}`);
  }

  /** Those that the others hear the origin by. */
  get relays(): readonly RelayEdge[] {
    return [...this.edges.values()].filter(({ relay }) => relay.size > 0);
  }

  connectDirectly(peer: ConnectedPeer, killed: AbortSignal): ConnectOrigin {
    const world = this;
    return async function* (messages, signal) {
      if (!world.isOriginReached) throw new Failure("unavailable", "the origin is not reached", { retryable: true });
      const either = AbortSignal.any([signal, killed, world.originDown.signal]);
      world.direct.add(peer.name);
      try {
        const answers = world.serve(overWire(NodeMessageSchema, messages), { signal: either, peer });
        for await (const message of overWire(OriginMessageSchema, answers)) {
          if (message.message.case !== "batch" || !world.unsent.has(peer.name)) yield message;
        }
      } finally {
        world.direct.delete(peer.name);
      }
    };
  }
}

export class RelayEdge {
  readonly peer: ConnectedPeer;
  readonly set: PoolSet;
  readonly relay: Relay;
  readonly link: OriginLink;
  readonly reports: ReportQueue;
  readonly route: RelayRoute;
  /** Revisions in the order in which they were applied. */
  readonly applied: number[] = [];
  readonly refused: string[] = [];
  readonly linkedBy: (string | undefined)[] = [];
  /** What it passes on in place of an envelope; a thief's. */
  forge: ((envelope: SignedBatch) => SignedBatch) | undefined;
  /** Nothing comes of it, and nobody hears why. */
  isSilent = false;
  isUp = false;
  /** How often a link that stood has ended. */
  downs = 0;
  readonly #killed = new AbortController();

  constructor(world: RelayWorld, name: string, set?: PoolSet) {
    const { clock, random, key } = world;
    this.peer = { role: "edge", pool: POOL, name, serial: "01" };
    const keys = new Map([[key.keyId, key.publicKey]]);
    this.set = set ?? new PoolSet(open(POOL_SET_MIGRATIONS), { pool: POOL, keys: () => keys });
    const nothing = (): void => undefined;
    this.reports = new ReportQueue(open(REPORT_QUEUE_MIGRATIONS), {
      ...{ clock, random, bytesMax: 1024 * 1024 },
      events: { reportsDropped: nothing, reportsCommitted: nothing, reportsWaiting: nothing, storageFailed: nothing },
    });
    const revoked = (subject: Parameters<typeof isRevoked>[1]) => isRevoked(this.set.resources, subject);
    this.relay = this.#relayOf(clock, revoked);
    this.route = new RelayRoute({
      direct: world.connectDirectly(this.peer, this.#killed.signal),
      relay: this.relay,
      candidates: () => relaysBefore(POOL, tierViewOf(this.set.resources, this.peer, revoked)),
      dial: async ({ name: relay }) =>
        world.edges.get(relay)?.answer(relay, this.peer) ?? Promise.reject(unreached(relay)),
      ...{ clock, random },
      events: { linkedBy: (relay) => void this.linkedBy.push(relay), relayFailed: nothing },
    });
    this.link = new OriginLink({
      ...{ clock, random, set: this.set, reports: this.reports, incarnation: `${name}-1`, softwareVersion: "1" },
      connect: () => {
        throw new Error("there is a route");
      },
      route: (signal) => this.route.next(signal),
      originTime: { heard: nothing },
      status: () => this.#status(),
      onBatch: () => {
        this.applied.push(this.set.watermark?.revision ?? 0);
        this.relay.applied();
        this.route.reconsider();
      },
      onUp: () => {
        this.isUp = true;
      },
      onDown: () => {
        this.isUp = false;
        this.downs += 1;
      },
      events: {
        batchRefused: ({ code }) => {
          this.refused.push(code);
          this.relay.refused();
          this.route.refused();
        },
        originRefused: nothing,
        linkFailed: nothing,
        storageFailed: nothing,
      },
    });
    this.reports.onCommitted(() => this.link.sendReports());
  }

  get revision(): number {
    return this.set.watermark?.revision ?? 0;
  }

  get by(): string | undefined {
    return this.linkedBy.at(-1);
  }

  report(id: string): void {
    void this.reports.push({ id, kind: "session-ended", value: { id } });
  }

  /** To a sibling that dials it. */
  answer(name: string, sibling: ConnectedPeer): ConnectOrigin {
    if (this.#killed.signal.aborted || this.isSilent) throw unreached(name);
    const refusal = this.relay.refusalFor(sibling);
    if (refusal !== undefined) throw new RelayRefused(name, { code: refusal, message: "" });
    const { relay } = this;
    const killed = this.#killed.signal;
    const isSilent = () => this.isSilent;
    return async function* (messages, signal) {
      const call = { peer: sibling, signal: AbortSignal.any([signal, killed]) };
      for await (const message of relay.serve(overWire(NodeMessageSchema, messages), call)) {
        if (killed.aborted) throw unreached(name);
        signal.throwIfAborted();
        if (!isSilent())
          yield fromBinary(OriginMessageSchema, toBinary(OriginMessageSchema, create(OriginMessageSchema, message)));
      }
      signal.throwIfAborted();
    };
  }

  kill(): void {
    this.#killed.abort(unreached(this.peer.name));
    void this.link[Symbol.asyncDispose]();
  }

  #relayOf(clock: Clock, revoked: Parameters<typeof tierViewOf>[2]): Relay {
    const passageFor: PoolSet["passageFor"] = (held) => {
      const passage = this.set.passageFor(held);
      const { forge } = this;
      return forge && passage.kind === "sent" ? { ...passage, envelopes: passage.envelopes.map(forge) } : passage;
    };
    const watermarkOf = () => this.set.watermark;
    return new Relay({
      set: {
        passageFor,
        get watermark() {
          return watermarkOf();
        },
      },
      checkMember: (peer) =>
        checkMember({ pool: POOL, resources: this.set.resources, isRevoked: revoked }, peer, ["edge"]),
      isOpen: () => true,
      originNowMs: () => clock.nowMs(),
      clock,
      events: { relaying: () => undefined },
    });
  }

  #status() {
    const { name } = this.peer;
    return {
      ...{ incarnation: `${name}-1`, softwareVersion: "1", contentUrl: "http://edge.test", hostname: "edge.test" },
      ...{ epoch: 1, appliedRevision: this.revision, storeBytesUsed: 0, storeBytesMax: 0, certificateExpiresAtMs: 0 },
      ...{ conditions: [], sites: [], agents: [], peerAddress: `${name}.test:7443` },
    };
  }
}

function unreached(name: string): Failure {
  return new Failure("unavailable", `${name} does not answer`, { retryable: true });
}
