/** SchedulerSync: every pool's desired state and what is observed go down, decisions and words on nodes come up. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type DecisionResult, fromDecision, toDecisionResult } from "#contracts/codec/decisions.ts";
import { fromNodeStates, toObserved } from "#contracts/codec/facts.ts";
import { fromUint64 } from "#contracts/codec/numbers.ts";
import { fromWatermark } from "#contracts/codec/pool-batch.ts";
import {
  type Decision as DecisionMessage,
  type FactsMessageSchema,
  type SchedulerMessage,
  SchedulerSync,
} from "#contracts/generated/perigee/v1/scheduler_pb.js";
import { parseResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { ALL_POOLS } from "#domain/desired-state.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { WRITER_BY_KIND } from "#domain/resource.ts";
import type { Clock } from "#platform/clock.ts";
import { Heartbeat } from "#platform/grpc/heartbeat.ts";
import { listenTo, PeerLink, PING_MS } from "#platform/grpc/peer-link.ts";
import { type Call, type ServiceEntry, serviceOf } from "#platform/grpc/server.ts";
import type { Members } from "../enrolment/members.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { writeResource } from "../log/resources.ts";
import type { ObservedNode, ObservedNodes } from "../observed/observed-nodes.ts";
import type { Distribution, Envelope } from "./distribution.ts";
import type { LinkEvents } from "./node-sync.ts";

type Outgoing = MessageInitShape<typeof FactsMessageSchema>;
type Link = PeerLink<Outgoing>;

/** What changed of a node within this time goes to a scheduler as one message. */
const OBSERVED_COALESCE_MS = 100;

export interface SchedulerSyncParts {
  readonly log: ResourceLog;
  readonly members: Members;
  readonly distribution: Distribution;
  readonly observed: ObservedNodes;
  readonly clock: Clock;
  readonly events: LinkEvents;
}

export function schedulerSyncService(parts: SchedulerSyncParts): ServiceEntry {
  const lease = new SlowLoopLease();
  const heartbeat = new Heartbeat(parts.clock, PING_MS);
  return serviceOf(SchedulerSync, {
    connect: (messages, call) => serve({ ...parts, lease, heartbeat }, messages, call),
  });
}

/** Held by the replica that has been connected longest: one slow loop writes. */
class SlowLoopLease {
  readonly #links: Link[] = [];

  add(link: Link): void {
    this.#links.push(link);
    link.push({ message: { case: "lease", value: { held: this.isHeldBy(link) } } });
  }

  remove(link: Link): void {
    const wasHeld = this.isHeldBy(link);
    const at = this.#links.indexOf(link);
    if (at >= 0) this.#links.splice(at, 1);
    if (wasHeld) this.#links[0]?.push({ message: { case: "lease", value: { held: true } } });
  }

  isHeldBy(link: Link): boolean {
    return this.#links[0] === link;
  }
}

async function* serve(
  parts: SchedulerSyncParts & { readonly lease: SlowLoopLease; readonly heartbeat: Heartbeat },
  messages: AsyncIterable<SchedulerMessage>,
  call: Call,
): AsyncGenerator<Outgoing> {
  const peer = parts.members.check(call.peer, ["scheduler"]);
  using link: Link = new PeerLink<Outgoing>({
    clock: parts.clock,
    heartbeat: parts.heartbeat,
    signal: call.signal,
    ping: (nonce, sentAtMs) => ({ message: { case: "ping", value: { nonce, sentAtMs } } }),
    check: () => void parts.members.check(peer, ["scheduler"]),
  });
  using cleanup = new DisposableStack();
  // Not only when the generator is resumed: what it gave last may wait for the transport long after the link has ended.
  link.signal.addEventListener("abort", () => cleanup.dispose(), { once: true });
  cleanup.use(parts.members.onChange(peer.name, () => void link.recheck()));
  cleanup.defer(() => {
    parts.lease.remove(link);
    parts.observed.setLink(peer.name, peer.pool, false, parts.clock.nowMs());
    parts.events.linkDown(peer);
  });
  parts.observed.setLink(peer.name, peer.pool, true, parts.clock.nowMs());
  parts.events.linkUp(peer);
  listenTo(messages, link, (message) => take(parts, { link, lease: parts.lease, cleanup }, message));
  yield* link.messages();
}

interface Stream {
  readonly link: Link;
  readonly lease: SlowLoopLease;
  readonly cleanup: DisposableStack;
}

function take(parts: SchedulerSyncParts, stream: Stream, { message }: SchedulerMessage): void {
  const { link } = stream;
  const subscriber = { push: (value: Envelope) => link.push({ message: { case: "batch", value } }) };
  switch (message.case) {
    case "hello": {
      const { watermark } = message.value;
      const held = watermark === undefined ? undefined : fromWatermark(watermark);
      stream.cleanup.use(parts.distribution.subscribe(ALL_POOLS, held, subscriber));
      stream.cleanup.use(sendObserved(parts, link));
      stream.lease.add(link);
      return;
    }
    case "decision":
      decide(parts, stream, message.value)
        .then((result) => link.push({ message: { case: "decisionResult", value: toDecisionResult(result) } }))
        .catch((error: unknown) => link.end(error));
      return;
    case "nodeStates":
      for (const { node, state, sinceMs } of fromNodeStates(message.value))
        parts.observed.setState(node, state, sinceMs);
      return;
    case "snapshotRequest":
      parts.distribution.pushSnapshot(ALL_POOLS, subscriber);
      return;
    case "pong":
    case undefined:
      return;
  }
}

/** All that is known, then what changes, coalesced by node; what does not fit now goes at the next turn. */
function sendObserved({ observed, clock }: SchedulerSyncParts, link: Link): Disposable {
  const dirty = new Set(observed.list().map(({ node }) => node));
  let isComplete = false;
  const flush = (): void => {
    for (const node of [...dirty]) {
      if (!link.hasRoom) return;
      dirty.delete(node);
      const known = observed.find(node);
      if (known !== undefined) link.push({ message: { case: "observed", value: observedMessage(known) } });
    }
    if (!isComplete) link.push({ message: { case: "observedComplete", value: {} } });
    isComplete = true;
  };
  flush();
  const stack = new DisposableStack();
  stack.use(observed.subscribe(({ node }) => void dirty.add(node)));
  stack.use(clock.every(OBSERVED_COALESCE_MS, flush));
  return stack;
}

function observedMessage({ node, pool, linkUp, linkSinceMs, status }: ObservedNode) {
  return toObserved({ node, pool, linkUp, linkSinceMs: Math.floor(linkSinceMs), status });
}

async function decide(
  parts: SchedulerSyncParts,
  { link, lease }: Stream,
  message: DecisionMessage,
): Promise<DecisionResult> {
  const request = fromUint64(message.request, "request");
  try {
    if (!lease.isHeldBy(link))
      throw new Failure("permission-denied", "this replica does not hold the slow loop's lease");
    const { resource, expectedResourceVersion: resourceVersion } = fromDecision(message);
    const parsed = parseResourceInput(resource);
    if (parsed.kind === "invalid") {
      throw new Failure("resource-invalid", parsed.faults.map((fault) => fault.message).join("; "));
    }
    const { input } = parsed;
    if (WRITER_BY_KIND[input.kind] !== "scheduler") {
      throw new Failure("permission-denied", `kind ${input.kind} is not written by schedulers`);
    }
    const written = { ...input, metadata: { ...input.metadata, resourceVersion } };
    const row = await writeResource(parts.log, written, parts.clock.nowMs());
    return { request, accepted: true, resourceVersion: row.revision, code: "", message: "" };
  } catch (error) {
    if (!isFailure(error)) throw error;
    const current = error.detail["resourceVersion"];
    const resourceVersion = typeof current === "number" ? current : 0;
    return { request, accepted: false, resourceVersion, code: error.code, message: error.message };
  }
}
