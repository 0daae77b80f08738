/** SiteControl: the stream of each render-agent of the pool, and the objects of served releases for agents and siblings. */
import { fromUint64 } from "#contracts/codec/numbers.ts";
import { fromWatermark } from "#contracts/codec/pool-batch.ts";
import { type AgentMessage, type FetchBlobRequest, SiteControl } from "#contracts/generated/perigee/v1/site_pb.js";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { Heartbeat } from "#platform/grpc/heartbeat.ts";
import { listenTo, PeerLink, PING_MS } from "#platform/grpc/peer-link.ts";
import { type Call, type ServiceEntry, serviceOf } from "#platform/grpc/server.ts";
import type { ConnectedPeer, Role } from "#platform/identity/peer.ts";
import type { PoolSet } from "../desired-state/pool-set.ts";
import type { OpenObject } from "../published/open-object.ts";
import type { AgentDirectory } from "./agent-directory.ts";
import { ConnectedAgent, type EdgeMessageInit } from "./connected-agent.ts";
import { agentStatusOf } from "./lease.ts";

/** Each holds a file open; a scene is some megabytes. */
export const BLOB_STREAMS_MAX = 64;
/** A snapshot is some megabytes: an agent that asks again and again gets it this often. */
const SNAPSHOT_MS_MIN = 5_000;
/** Unique for its process, not long. */
const INCARNATION_LENGTH_MAX = 64;
const DIGEST = /^[0-9a-f]{64}$/;

export interface SiteControlParts {
  readonly directory: AgentDirectory;
  readonly set: Pick<PoolSet, "watermark" | "envelopesAfter">;
  readonly checkMember: (peer: ConnectedPeer | undefined, roles: readonly Role[]) => ConnectedPeer;
  readonly openObject: (digest: string, offset: number) => Promise<OpenObject>;
  readonly clock: Clock;
  /** What agents say of themselves has changed. */
  readonly onChange: () => void;
  readonly onAgentGone: (agent: ConnectedAgent) => void;
  /** Its status names them no more. */
  readonly onReleased: (released: { readonly agent: string; readonly sessions: readonly string[] }) => void;
  readonly onSessionEnded: (ended: { agent: string; session: string; attempt: number; reason: string }) => void;
}

export function siteControlService(parts: SiteControlParts): ServiceEntry {
  let blobStreams = 0;
  const heartbeat = new Heartbeat(parts.clock, PING_MS);
  return serviceOf(SiteControl, {
    connect: (messages, call) => serve(parts, heartbeat, messages, call),
    fetchBlob: async function* (request, call) {
      parts.checkMember(call.peer, ["agent", "edge"]);
      if (blobStreams >= BLOB_STREAMS_MAX) {
        throw new Failure("overloaded", `${BLOB_STREAMS_MAX} objects are being sent, which is the limit`, {
          retryable: true,
        });
      }
      blobStreams += 1;
      try {
        yield* chunksOf(parts, request);
      } finally {
        blobStreams -= 1;
      }
    },
  });
}

/** Everything that an agent lacks of the set; called when the set has changed, and when an agent connects or asks. */
export function bringUpToDate({ set }: Pick<SiteControlParts, "set">, agent: ConnectedAgent): void {
  const own = set.watermark;
  const { held, link } = agent;
  if (own === undefined) return;
  // An agent with another edge may be ahead of this one: it takes nothing older.
  if (held !== undefined && (held.epoch > own.epoch || (held.epoch === own.epoch && held.revision > own.revision)))
    return;
  for (const { payload, signature, keyId } of set.envelopesAfter(held)) {
    link.push({ message: { case: "batch", value: { payload, signature, keyId } } });
  }
  agent.held = own;
}

async function* serve(
  parts: SiteControlParts,
  heartbeat: Heartbeat,
  messages: AsyncIterable<AgentMessage>,
  call: Call,
): AsyncGenerator<EdgeMessageInit> {
  const peer = parts.checkMember(call.peer, ["agent"]);
  using link = new PeerLink<EdgeMessageInit>({
    clock: parts.clock,
    heartbeat,
    signal: call.signal,
    ping: (nonce, sentAtMs) => ({ message: { case: "ping", value: { nonce, sentAtMs } } }),
    check: () => void parts.checkMember(peer, ["agent"]),
  });
  using stream = new AgentStream(parts, peer, link);
  listenTo(messages, link, (message) => stream.take(message));
  yield* link.messages();
}

/** One agent's stream from its hello to its end. */
class AgentStream implements Disposable {
  readonly #parts: SiteControlParts;
  readonly #peer: ConnectedPeer;
  readonly #link: PeerLink<EdgeMessageInit>;
  #agent: ConnectedAgent | undefined;
  #maySnapshotAtMs = 0;

  constructor(parts: SiteControlParts, peer: ConnectedPeer, link: PeerLink<EdgeMessageInit>) {
    this.#parts = parts;
    this.#peer = peer;
    this.#link = link;
  }

  /** Throws a `Failure` that ends the stream. */
  take({ message }: AgentMessage): void {
    // What was on its way when the stream was ended counts no more.
    if (this.#link.signal.aborted) return;
    if (message.case === "hello") {
      const { incarnation, watermark } = message.value;
      this.#welcome(incarnation, watermark === undefined ? undefined : fromWatermark(watermark));
      return;
    }
    const agent = this.#agent;
    if (agent === undefined)
      throw new Failure("argument-invalid", `${this.#peer.name} sent ${message.case} before hello`);
    switch (message.case) {
      case "status": {
        const before = agent.sessions();
        agent.setStatus(agentStatusOf(message.value, agent));
        this.#parts.onChange();
        const sessions = before.filter((session) => agent.attemptOf(session) === undefined);
        if (sessions.length > 0) this.#parts.onReleased({ agent: agent.name, sessions });
        break;
      }
      case "leaseAnswer":
        agent.takeAnswer(message.value);
        break;
      case "sessionEnded": {
        const { session, attempt, reason } = message.value;
        agent.takeEnd(session);
        this.#parts.onChange();
        this.#parts.onSessionEnded({ agent: agent.name, session, attempt, reason });
        break;
      }
      case "snapshotRequest":
        this.#sendSnapshot(agent);
        break;
      case "pong":
      case undefined:
        break;
    }
  }

  [Symbol.dispose](): void {
    if (this.#agent === undefined) return;
    // Its lease requests end with the link's signal, which tells them why.
    this.#link.end(new Failure("unavailable", "the stream has ended", { retryable: true }));
    this.#parts.directory.remove(this.#agent);
    this.#parts.onAgentGone(this.#agent);
    this.#parts.onChange();
  }

  #welcome(incarnation: string, held: ConnectedAgent["held"]): void {
    const { directory, clock } = this.#parts;
    if (this.#agent !== undefined || incarnation === "" || incarnation.length > INCARNATION_LENGTH_MAX) {
      throw new Failure("argument-invalid", `${this.#peer.name} must say hello once, with its incarnation`);
    }
    const agent = new ConnectedAgent({ name: this.#peer.name, incarnation, link: this.#link, held, clock });
    directory.add(agent);
    this.#agent = agent;
    bringUpToDate(this.#parts, agent);
    // An agent that lacks nothing hears at once, too, that its stream stands.
    this.#link.push({ message: { case: "ping", value: { nonce: 0n, sentAtMs: BigInt(Math.floor(clock.nowMs())) } } });
  }

  #sendSnapshot(agent: ConnectedAgent): void {
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs < this.#maySnapshotAtMs) return;
    this.#maySnapshotAtMs = nowMs + SNAPSHOT_MS_MIN;
    agent.held = undefined;
    bringUpToDate(this.#parts, agent);
  }
}

async function* chunksOf({ openObject }: SiteControlParts, request: FetchBlobRequest) {
  const { digest } = request;
  if (!DIGEST.test(digest)) {
    throw new Failure("argument-invalid", "a digest is 64 hexadecimal digits in lower case (SHA-256)");
  }
  const { sizeBytes, bytes } = await openObject(digest, fromUint64(request.offset, "offset"));
  const totalBytes = BigInt(sizeBytes);
  // Also of an object, or an end, without bytes.
  yield { totalBytes, data: new Uint8Array() };
  for await (const data of bytes) yield { totalBytes, data };
}
