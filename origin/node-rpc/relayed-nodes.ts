/**
 * Nodes that are linked by a sibling which relays for them: what they say comes by its stream, and counts as if it came by
 * one of their own. Each costs an entry in a map; the relay's stream has the timers.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { fromNodeStatus } from "#contracts/codec/node-status.ts";
import { fromWatermark } from "#contracts/codec/pool-batch.ts";
import type {
  NodeHello,
  NodeMessage,
  OriginMessageSchema,
  RelayedNodeMessage,
} from "#contracts/generated/perigee/v1/node_pb.js";
import { Failure, isFailure } from "#domain/failure.ts";
import type { ConnectedPeer } from "#platform/identity/peer.ts";
import type { NodeSyncParts } from "./node-sync.ts";

type Outgoing = MessageInitShape<typeof OriginMessageSchema>;

export interface NodeLink {
  end(reason: unknown): void;
  /** Of the process, where it is known: of one that a sibling relays for. */
  readonly incarnation?: string;
}

/** By node name: the newest connection of an identity wins. */
export type NodeLinks = Map<string, NodeLink>;

/** Ends and gives the one before. */
export function takeOver(links: NodeLinks, node: string, link: NodeLink): NodeLink | undefined {
  const older = links.get(node);
  links.set(node, link);
  older?.end(new Failure("unavailable", `a newer process has connected as ${node}`));
  return older;
}

interface RelayedNode extends NodeLink {
  readonly peer: ConnectedPeer;
  readonly stream: bigint;
  readonly incarnation: string;
  /** Of its membership. */
  readonly watching: Disposable;
  /** As it said it last, and as it is written. */
  peerAddress: string | undefined;
}

export interface RelayedNodesParts
  extends Pick<
    NodeSyncParts,
    "members" | "distribution" | "observed" | "peerAddresses" | "records" | "clock" | "events"
  > {
  readonly links: NodeLinks;
}

/** All that one relay speaks for; disposed when its own stream ends. */
export class RelayedNodes implements Disposable {
  readonly #parts: RelayedNodesParts;
  readonly #relay: ConnectedPeer;
  readonly #push: (message: Outgoing) => void;
  readonly #nodes = new Map<string, RelayedNode>();

  constructor(parts: RelayedNodesParts, relay: ConnectedPeer, push: (message: Outgoing) => void) {
    this.#parts = parts;
    this.#relay = relay;
    this.#push = push;
  }

  /** What is wrong with what a node says is told to that node: it ends nothing of the relay's, nor of others. */
  take({ node: name, certificateSerial: serial, stream, said }: RelayedNodeMessage): void {
    const known = this.#nodes.get(name);
    const node = known?.stream === stream ? known : undefined;
    if (said.case === "gone") {
      if (node !== undefined) this.#drop(node);
      return;
    }
    if (said.case === undefined) return;
    try {
      // The relay says who it is; that it is one of the relay's own pool, and may be served, is known here.
      const peer = this.#parts.members.check({ role: "edge", pool: this.#relay.pool, name, serial }, ["edge"]);
      this.#hear(peer, stream, node, said.value);
    } catch (error) {
      if (!isFailure(error)) throw error;
      if (node !== undefined) this.#drop(node);
      this.#refuse(name, stream, error);
    }
  }

  [Symbol.dispose](): void {
    for (const node of [...this.#nodes.values()]) this.#drop(node);
  }

  #hear(peer: ConnectedPeer, stream: bigint, node: RelayedNode | undefined, { message }: NodeMessage): void {
    const { observed, records, clock } = this.#parts;
    if (message.case === "hello") {
      this.#greet(peer, stream, message.value);
      return;
    }
    if (node === undefined) throw new Failure("argument-invalid", `${peer.name} has said nothing of itself yet`);
    if (message.case === "status") {
      const status = fromNodeStatus(message.value);
      observed.setStatus(peer.name, status);
      if (status.peerAddress !== node.peerAddress) void this.#noteAddress(node, status.peerAddress);
    } else if (message.case === "reports") {
      const { reports, sequence } = message.value;
      records.append(peer.name, reports, clock.nowMs());
      this.#tell(peer.name, stream, { message: { case: "reportAck", value: { sequence } } });
    }
  }

  #greet(peer: ConnectedPeer, stream: bigint, { incarnation, watermark }: NodeHello): void {
    const { distribution, observed, events, members, clock, links } = this.#parts;
    const before = this.#nodes.get(peer.name);
    if (before !== undefined) this.#forget(before);
    const node: RelayedNode = {
      ...{ peer, stream, incarnation, peerAddress: "unheard" },
      watching: members.onChange(peer.name, () => this.#recheck(node)),
      end: (reason) => this.#end(node, reason),
    };
    this.#nodes.set(peer.name, node);
    const older = takeOver(links, peer.name, node);
    if (older?.incarnation !== undefined && older.incarnation !== incarnation) events.identityTwice(peer);
    const held = watermark && fromWatermark(watermark);
    if (held !== undefined && distribution.isBehind(held)) events.logBehind(peer, held);
    observed.setLink(peer.name, peer.pool, true, clock.nowMs(), this.#relay.name);
    if (older === undefined) events.linkUp(peer);
  }

  async #noteAddress(node: RelayedNode, peerAddress: string | undefined): Promise<void> {
    try {
      if (await this.#parts.peerAddresses.note(node.peer, peerAddress)) node.peerAddress = peerAddress;
    } catch (error) {
      node.end(error);
    }
  }

  #recheck(node: RelayedNode): void {
    try {
      this.#parts.members.check(node.peer, ["edge"]);
    } catch (error) {
      node.end(error);
    }
  }

  /** For one that goes on by another stream, or may not be served. */
  #end(node: RelayedNode, reason: unknown): void {
    if (this.#nodes.get(node.peer.name) !== node) return;
    this.#drop(node);
    this.#refuse(node.peer.name, node.stream, reason);
  }

  #drop(node: RelayedNode): void {
    const { links, observed, events, clock } = this.#parts;
    const { name, pool } = node.peer;
    this.#forget(node);
    if (links.get(name) !== node) return;
    links.delete(name);
    observed.setLink(name, pool, false, clock.nowMs());
    events.linkDown(node.peer);
  }

  #forget(node: RelayedNode): void {
    node.watching[Symbol.dispose]();
    this.#nodes.delete(node.peer.name);
  }

  #refuse(node: string, stream: bigint, reason: unknown): void {
    const { code, message } = isFailure(reason) ? reason : new Failure("unavailable", String(reason));
    this.#tell(node, stream, { message: { case: "refusal", value: { code, message, retryAfterSeconds: 0 } } });
  }

  #tell(node: string, stream: bigint, message: Outgoing): void {
    this.#push({ message: { case: "relayed", value: { node, stream, message } } });
  }
}
