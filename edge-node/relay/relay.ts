/**
 * Relays the watch for siblings of the pool while the own stream to the origin stands: they get the stored batches as they
 * came, unopened, and what they say goes up by that one stream.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { fromUint64 } from "#contracts/codec/numbers.ts";
import { fromWatermark } from "#contracts/codec/pool-batch.ts";
import type {
  NodeMessage,
  NodeMessageSchema,
  OriginMessageSchema,
  RelayedNodeMessageSchema,
  RelayedOriginMessage,
} from "#contracts/generated/perigee/v1/node_pb.js";
import type { Watermark } from "#domain/desired-state.ts";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { Heartbeat } from "#platform/grpc/heartbeat.ts";
import { listenTo, PeerLink, PING_MS } from "#platform/grpc/peer-link.ts";
import type { ConnectedPeer } from "#platform/identity/peer.ts";
import type { PoolSet, SignedBatch } from "../desired-state/pool-set.ts";
import { type RelayRefusal, refusalMessage } from "./refusals.ts";
import { Upward } from "./upward.ts";

/** A pool is some fifty edges; a stream of each costs the relay some tens of kilobytes. */
export const RELAYED_SIBLINGS_MAX = 256;

type ToOrigin = MessageInitShape<typeof NodeMessageSchema>;
export type ToSibling = MessageInitShape<typeof OriginMessageSchema>;

/** One stream of a sibling, as its transport has it. */
export interface SiblingCall {
  readonly peer: ConnectedPeer | undefined;
  readonly signal: AbortSignal;
}

export interface RelayOptions {
  readonly set: Pick<PoolSet, "watermark" | "passageFor">;
  /** Throws for whoever is no edge of this pool by the set, or was revoked. */
  readonly checkMember: (peer: ConnectedPeer | undefined) => ConnectedPeer;
  /** Whether the pool has relays, and what the origin sends is taken here. */
  readonly isOpen: () => boolean;
  /** What time it is at the origin, epoch milliseconds. */
  readonly originNowMs: () => number;
  readonly clock: Clock;
  readonly events: { relaying(siblings: number): void };
}

interface Sibling {
  readonly peer: ConnectedPeer;
  /** Tells its streams to this relay apart. */
  readonly stream: number;
  readonly link: PeerLink<ToSibling>;
  /** It has what the set was made by, and gets what comes. */
  isTaken: boolean;
  /** What it is told last. */
  refusal: ToSibling;
}

export class Relay {
  readonly #options: RelayOptions;
  readonly #heartbeat: Heartbeat;
  readonly #siblings = new Map<string, Sibling>();
  readonly #upward = new Upward<MessageInitShape<typeof RelayedNodeMessageSchema>>();
  #streams = 0;
  #isLinked = false;
  /** The origin sent what was refused here, and nothing since that was not. */
  #isLacking = false;
  /** What those that are taken hold, or have waiting. */
  #told: Watermark | undefined;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#heartbeat = new Heartbeat(options.clock, PING_MS);
    this.#told = options.set.watermark;
  }

  /** Siblings that are linked by this edge. */
  get size(): number {
    return this.#siblings.size;
  }

  /** `undefined`: the sibling may open a stream. */
  refusalFor(peer: ConnectedPeer | undefined): RelayRefusal | undefined {
    const reason = this.#refusalNow();
    if (!this.#isMember(peer)) return "untrusted";
    return reason ?? (this.#siblings.size >= RELAYED_SIBLINGS_MAX ? "full" : undefined);
  }

  /** What a sibling's stream is answered with; its last message says why it ends. */
  async *serve(messages: AsyncIterable<NodeMessage>, call: SiblingCall): AsyncGenerator<ToSibling> {
    const refusal = this.refusalFor(call.peer);
    if (refusal !== undefined || call.peer === undefined) {
      yield refusalMessage(refusal ?? "untrusted");
      return;
    }
    const { clock, originNowMs, checkMember } = this.#options;
    const { peer } = call;
    using link = new PeerLink<ToSibling>({
      ...{ clock, heartbeat: this.#heartbeat, signal: call.signal },
      ping: (nonce) => pingOf(nonce, originNowMs()),
      check: () => void checkMember(peer),
    });
    const sibling = this.#add(peer, link);
    // Not only when the generator is resumed: what it gave last may wait for the transport.
    link.signal.addEventListener("abort", () => this.#remove(sibling), { once: true });
    listenTo(messages, link, (message) => this.#take(sibling, message));
    try {
      yield* link.messages();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      yield sibling.refusal;
    }
  }

  /** The own stream to the origin has been heard of. Idempotent. */
  linked(): void {
    this.#isLinked = true;
  }

  unlinked(): void {
    this.#isLinked = false;
    this.#endAll("not-linked");
    this.#upward.clear();
  }

  /** The own messages to the origin, and those of siblings between them. */
  merge(own: AsyncIterable<ToOrigin>): AsyncIterable<ToOrigin> {
    return this.#upward.merge(own, (value) => ({ message: { case: "relayed", value } }));
  }

  /** What the origin says to a sibling. */
  takeForSibling({ node, stream, message }: RelayedOriginMessage): void {
    const sibling = this.#siblings.get(node);
    if (message === undefined || sibling?.stream !== fromUint64(stream, "stream")) return;
    if (message.message.case === "reportAck") sibling.link.push(message);
    if (message.message.case !== "refusal") return;
    sibling.refusal = message;
    sibling.link.end(new Failure("unavailable", "the origin has refused it"));
  }

  /** The set has changed, which is durable: it goes on to the siblings as it came. */
  applied(): void {
    this.#isLacking = false;
    const before = this.#told;
    this.#told = this.#options.set.watermark;
    if (this.#siblings.size === 0) return;
    const passage = this.#options.set.passageFor(before);
    const taken = [...this.#siblings.values()].filter(({ isTaken }) => isTaken);
    const messages = passage.kind === "sent" ? passage.envelopes.map(messageOf) : [];
    for (const sibling of taken) {
      if (passage.kind !== "sent") this.#end(sibling, "diverged");
      else if (sibling.link.recheck()) for (const message of messages) sibling.link.push(message);
    }
    this.reconsider();
  }

  /** What the origin sent was refused here: siblings are better off with the origin itself. */
  refused(): void {
    this.#isLacking = true;
    this.reconsider();
  }

  /** What it depends on may have changed. */
  reconsider(): void {
    const reason = this.#refusalNow();
    if (reason !== undefined) this.#endAll(reason);
  }

  #refusalNow(): RelayRefusal | undefined {
    if (this.#isLacking || !this.#options.isOpen()) return "not-synced";
    return this.#isLinked ? undefined : "not-linked";
  }

  #isMember(peer: ConnectedPeer | undefined): boolean {
    try {
      this.#options.checkMember(peer);
      return true;
    } catch (error) {
      if (error instanceof Failure) return false;
      throw error;
    }
  }

  #add(peer: ConnectedPeer, link: PeerLink<ToSibling>): Sibling {
    this.#streams += 1;
    const sibling = { peer, link, stream: this.#streams, isTaken: false, refusal: refusalMessage("ended") };
    const older = this.#siblings.get(peer.name);
    this.#siblings.set(peer.name, sibling);
    if (older !== undefined) this.#end(older, "ended");
    this.#options.events.relaying(this.#siblings.size);
    return sibling;
  }

  #remove(sibling: Sibling): void {
    const { name } = sibling.peer;
    if (this.#siblings.get(name) !== sibling) return;
    this.#siblings.delete(name);
    this.#options.events.relaying(this.#siblings.size);
    this.#upward.replaceAll(name, "gone", relayedOf(sibling, { case: "gone", value: {} }));
  }

  #endAll(reason: RelayRefusal): void {
    for (const sibling of [...this.#siblings.values()]) this.#end(sibling, reason);
  }

  #end(sibling: Sibling, reason: RelayRefusal): void {
    sibling.refusal = refusalMessage(reason);
    sibling.link.end(new Failure("unavailable", `${sibling.peer.name} is relayed for no more: ${reason}`));
  }

  #take(sibling: Sibling, message: NodeMessage): void {
    const { name } = sibling.peer;
    const relayed = relayedOf(sibling, { case: "message", value: message });
    switch (message.message.case) {
      case "hello": {
        const { watermark } = message.message.value;
        if (!this.#takeUp(sibling, watermark && fromWatermark(watermark))) return;
        this.#upward.replaceAll(name, "hello", relayed);
        return;
      }
      case "status":
      case "reports":
        if (sibling.isTaken) this.#upward.put(name, message.message.case, relayed);
        return;
      case "snapshotRequest":
        this.#end(sibling, "snapshot-wanted");
        return;
      // Its own siblings are not spoken for.
      case "relayed":
      case "pong":
      case undefined:
        return;
    }
  }

  /** False where the stored batches do not bring it here. */
  #takeUp(sibling: Sibling, held: Watermark | undefined): boolean {
    const passage = this.#options.set.passageFor(held);
    if (passage.kind !== "sent") {
      this.#end(sibling, passage.kind === "nothing-held" ? "not-synced" : passage.kind);
      return false;
    }
    sibling.isTaken = true;
    // It knows by the first message that its link stands.
    sibling.link.push(pingOf(0n, this.#options.originNowMs()));
    for (const envelope of passage.envelopes) sibling.link.push(messageOf(envelope));
    return true;
  }
}

function relayedOf(
  { peer, stream }: Sibling,
  said: NonNullable<MessageInitShape<typeof RelayedNodeMessageSchema>["said"]>,
): MessageInitShape<typeof RelayedNodeMessageSchema> {
  return { node: peer.name, certificateSerial: peer.serial, stream: BigInt(stream), said };
}

function messageOf({ payload, signature, keyId }: SignedBatch): ToSibling {
  return { message: { case: "batch", value: { payload, signature, keyId } } };
}

function pingOf(nonce: bigint, sentAtMs: number): ToSibling {
  return { message: { case: "ping", value: { nonce, sentAtMs: BigInt(Math.floor(sentAtMs)) } } };
}
