/** NodeSync: an edge's one stream; desired state down, status and reports up. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { fromNodeStatus } from "#contracts/codec/node-status.ts";
import { fromWatermark } from "#contracts/codec/pool-batch.ts";
import { type NodeMessage, NodeSync, type OriginMessageSchema } from "#contracts/generated/perigee/v1/node_pb.js";
import type { Watermark } from "#domain/desired-state.ts";
import type { Clock } from "#platform/clock.ts";
import { SharedMessages } from "#platform/grpc/definition.ts";
import { Heartbeat } from "#platform/grpc/heartbeat.ts";
import { listenTo, PeerLink, PING_MS } from "#platform/grpc/peer-link.ts";
import { type Call, type ServiceEntry, serviceOf } from "#platform/grpc/server.ts";
import type { PeerIdentity } from "#platform/identity/peer.ts";
import type { Members } from "../enrolment/members.ts";
import type { PeerAddresses } from "../enrolment/peer-addresses.ts";
import type { ObservedNodes } from "../observed/observed-nodes.ts";
import type { Records } from "../records/records.ts";
import { Admission } from "./admission.ts";
import type { Distribution, Envelope, Subscriber } from "./distribution.ts";
import { type NodeLinks, RelayedNodes, takeOver } from "./relayed-nodes.ts";

type Outgoing = MessageInitShape<typeof OriginMessageSchema>;

export interface LinkEvents {
  linkUp(peer: PeerIdentity): void;
  linkDown(peer: PeerIdentity): void;
  identityTwice(peer: PeerIdentity): void;
  linkPutOff(retryAfterSeconds: number): void;
}

export interface NodeLinkEvents extends LinkEvents {
  /** The node holds a later state of the log than this origin has. */
  logBehind(peer: PeerIdentity, watermark: Watermark): void;
}

export interface NodeSyncParts {
  readonly members: Members;
  readonly distribution: Distribution;
  readonly observed: ObservedNodes;
  readonly peerAddresses: PeerAddresses;
  readonly records: Records;
  readonly clock: Clock;
  readonly events: NodeLinkEvents;
}

export function nodeSyncService(parts: NodeSyncParts): ServiceEntry {
  return serviceOf(NodeSync, { connect: serveNodes(parts) });
}

/** Without a transport: what each edge's stream is answered with. */
export function serveNodes(
  parts: NodeSyncParts,
): (messages: AsyncIterable<NodeMessage>, call: Call) => AsyncGenerator<Outgoing> {
  const links: NodeLinks = new Map();
  const heartbeat = new Heartbeat(parts.clock, PING_MS);
  const admission = new Admission(parts.clock);
  return async function* (messages, call) {
    const retryAfterSeconds = admission.ask();
    if (retryAfterSeconds === 0) yield* serve({ ...parts, links, heartbeat }, messages, call);
    else yield refusalOf(parts, retryAfterSeconds);
  };
}

async function* serve(
  parts: NodeSyncParts & { readonly links: NodeLinks; readonly heartbeat: Heartbeat },
  messages: AsyncIterable<NodeMessage>,
  call: Call,
): AsyncGenerator<Outgoing> {
  const { links } = parts;
  const peer = parts.members.check(call.peer, ["edge"]);
  using link = new PeerLink<Outgoing>({
    clock: parts.clock,
    heartbeat: parts.heartbeat,
    signal: call.signal,
    ping: (nonce, sentAtMs) => ({ message: { case: "ping", value: { nonce, sentAtMs } } }),
    check: () => void parts.members.check(peer, ["edge"]),
  });
  const older = takeOver(links, peer.name, link);
  // One that another node relays for says by its hello whether it is the same process.
  const relayed = older?.incarnation;
  if (older !== undefined && relayed === undefined) parts.events.identityTwice(peer);
  using cleanup = new DisposableStack();
  // Not only when the generator is resumed: what it gave last may wait for the transport long after the link has ended.
  link.signal.addEventListener("abort", () => cleanup.dispose(), { once: true });
  cleanup.use(parts.members.onChange(peer.name, () => void link.recheck()));
  cleanup.defer(() => {
    if (links.get(peer.name) !== link) return;
    links.delete(peer.name);
    parts.observed.setLink(peer.name, peer.pool, false, parts.clock.nowMs());
    parts.events.linkDown(peer);
  });
  parts.observed.setLink(peer.name, peer.pool, true, parts.clock.nowMs());
  if (relayed === undefined) parts.events.linkUp(peer);
  const subscriber = subscriberOf(link);
  const relay = new RelayedNodes(parts, peer, (message) => link.push(message));
  cleanup.use(relay);
  const stream: Stream = { link, subscriber, cleanup, relay, relayed, peerAddress: "unheard" };
  listenTo(messages, link, (message) => take(parts, peer, stream, message));
  yield* link.messages();
}

function refusalOf({ events }: NodeSyncParts, retryAfterSeconds: number): Outgoing {
  events.linkPutOff(retryAfterSeconds);
  const message = `too many nodes connect at once; try again in ${retryAfterSeconds} s`;
  return { message: { case: "refusal", value: { code: "overloaded", message, retryAfterSeconds } } };
}

/** One message for all nodes of a pool. */
const BATCHES = new SharedMessages<Envelope, Outgoing>((value) => ({ message: { case: "batch", value } }));

function subscriberOf(link: PeerLink<Outgoing>): Subscriber {
  return { push: (envelope) => link.push(BATCHES.of(envelope)) };
}

interface Stream {
  readonly link: PeerLink<Outgoing>;
  readonly relay: RelayedNodes;
  /** The process that was linked by another node when this stream came. */
  readonly relayed: string | undefined;
  readonly subscriber: Subscriber;
  readonly cleanup: DisposableStack;
  /** As the edge said it last, and as it is written. */
  peerAddress: string | undefined;
}

function take(parts: NodeSyncParts, peer: PeerIdentity, stream: Stream, { message }: NodeMessage): void {
  switch (message.case) {
    case "hello": {
      const { watermark, incarnation } = message.value;
      if (stream.relayed !== undefined && stream.relayed !== incarnation) parts.events.identityTwice(peer);
      const held = watermark === undefined ? undefined : fromWatermark(watermark);
      // The snapshot that it gets is older than what it holds: it says so in its status, and goes on as it is.
      if (held !== undefined && parts.distribution.isBehind(held)) parts.events.logBehind(peer, held);
      stream.cleanup.use(parts.distribution.subscribe(peer.pool, held, stream.subscriber));
      return;
    }
    case "status": {
      const status = fromNodeStatus(message.value);
      parts.observed.setStatus(peer.name, status);
      const { peerAddress } = status;
      if (peerAddress !== stream.peerAddress)
        noteAddress(parts, peer, stream, peerAddress).catch((error: unknown) => stream.link.end(error));
      return;
    }
    case "reports":
      parts.records.append(peer.name, message.value.reports, parts.clock.nowMs());
      stream.link.push({ message: { case: "reportAck", value: { sequence: message.value.sequence } } });
      return;
    case "relayed":
      stream.relay.take(message.value);
      return;
    case "snapshotRequest":
      parts.distribution.pushSnapshot(peer.pool, stream.subscriber);
      return;
    case "pong":
    case undefined:
      return;
  }
}

async function noteAddress(
  parts: NodeSyncParts,
  peer: PeerIdentity,
  stream: Stream,
  peerAddress: string | undefined,
): Promise<void> {
  if (await parts.peerAddresses.note(peer, peerAddress)) stream.peerAddress = peerAddress;
}
