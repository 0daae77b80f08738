/** The stream to one edge: batches, lease requests and pings down, status and answers up; made again with jitter when it ends. */
import { toAgentStatus } from "#contracts/codec/node-status.ts";
import { toWatermark } from "#contracts/codec/pool-batch.ts";
import {
  type EdgeMessage,
  type LeaseRequest as LeaseRequestMessage,
  SiteControl,
} from "#contracts/generated/perigee/v1/site_pb.js";
import type { Digest } from "#domain/content/release.ts";
import type { Watermark } from "#domain/desired-state.ts";
import { Failure, type FailureCode, isFailure } from "#domain/failure.ts";
import type { AgentStatus } from "#domain/fleet/node.ts";
import type { Address } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedQueue } from "#platform/concurrency/bounded-queue.ts";
import { backoffMs } from "#platform/concurrency/retry.ts";
import { type ClientTls, createGrpcClient, type GrpcClient } from "#platform/grpc/client.ts";
import type { Random } from "#platform/random.ts";
import type { GrantedLease, LeaseRequest } from "../session/session-host.ts";
import type { BatchOutcome, SignedBatch } from "./pool-set.ts";
import { type AgentMessageInit, grantedAnswer, leaseRequestOf, refusedAnswer } from "./site-messages.ts";

/** The edge pings every 3 s: three lost ones, and it is gone. */
export const SILENCE_MS_MAX = 9_000;
const CHECK_MS = 1_000;
const STATUS_MS = 2_000;
/** A link that lived for so long was a good one: the next wait begins short again. */
const LIVED_MS_MIN = 10_000;
const RECONNECT = { attemptsMax: 1, baseMs: 250, capMs: 5_000 };
const DOUBLINGS_MAX = 10;
/** Status, answers and pongs; an edge that takes none of them is dead. */
export const MESSAGES_MAX = 256;
/** Each sets up a process; the edge itself asks for no more at once. */
export const LEASE_REQUESTS_MAX = 64;
/** A set that does not fit is asked for whole, ever more seldom. */
const SNAPSHOT_ASK_MS = 5_000;
const SNAPSHOT_ASK_MS_MAX = 300_000;
/** What a client is told fits a control message. */
const REASON_LENGTH_MAX = 200;
const BLOB_MS_MAX = 30_000;
/** What an edge is told last has this long to reach it. */
const FAREWELL_MS_MAX = 500;

/** After these the edge goes on from a revision that is not ours. */
const MENDED_BY_SNAPSHOT: ReadonlySet<FailureCode> = new Set([
  "digest-mismatch",
  "disk-full",
  "resource-invalid",
  "revision-compacted",
  "storage-failed",
]);

export interface EdgeLinkOptions {
  readonly edge: string;
  readonly address: Address;
  readonly tls: () => ClientTls;
  readonly incarnation: string;
  readonly softwareVersion: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly watermark: () => Watermark | undefined;
  readonly needsSnapshot: () => boolean;
  readonly status: () => AgentStatus;
  /** Throws what `PoolSet.apply` throws. */
  readonly applyBatch: (envelope: SignedBatch) => BatchOutcome;
  readonly lease: (request: LeaseRequest) => Promise<GrantedLease>;
  readonly endSession: (end: { session: string; attempt: number; reason: string }) => void;
  readonly onUp: () => void;
  readonly onDown: (reason: Failure) => void;
  readonly events: {
    batchRefused(failure: Failure): void;
    leaseGranted(lease: GrantedLease): void;
    leaseRefused(failure: Failure): void;
  };
}

export class EdgeLink implements AsyncDisposable {
  readonly edge: string;
  readonly #options: EdgeLinkOptions;
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;
  #current: Connection | undefined;
  #isFinishing = false;

  constructor(options: EdgeLinkOptions) {
    this.edge = options.edge;
    this.#options = options;
    this.#ended = this.#run();
  }

  get isUp(): boolean {
    return this.#current?.isUp ?? false;
  }

  sendStatus(): void {
    this.#current?.sendStatus();
  }

  /** False where the stream does not stand: another edge is to be told. */
  tellEnded(ended: { session: string; attempt: number; reason: string }): boolean {
    if (this.#current?.isUp !== true) return false;
    this.#current.push({ message: { case: "sessionEnded", value: ended } });
    return true;
  }

  /** Throws `not-found`, `unavailable`, `argument-invalid` for more than `bytesMax`. */
  async fetchBlob(digest: Digest, bytesMax: number): Promise<Uint8Array> {
    const { address, tls, clock } = this.#options;
    const signal = clock.deadline(BLOB_MS_MAX, this.#stopping.signal);
    using client = createGrpcClient(SiteControl, { address, tls: tls() });
    const chunks: Uint8Array[] = [];
    let received = 0;
    for await (const { data } of client.fetchBlob({ digest, offset: 0n }, { signal })) {
      received += data.byteLength;
      if (received > bytesMax) throw new Failure("argument-invalid", `blob ${digest} has more than ${bytesMax} bytes`);
      chunks.push(data);
    }
    return Buffer.concat(chunks);
  }

  /** What is queued is sent before the stream ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    const stop = (): void => this.#stopping.abort(new Failure("unavailable", "the agent is stopping"));
    using _late = this.#options.clock.timer(FAREWELL_MS_MAX, stop);
    this.#isFinishing = true;
    if (this.#current === undefined) stop();
    else this.#current.finish();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#options;
    const { signal } = this.#stopping;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      const begunMs = clock.monotonicMs();
      await this.#connectOnce(signal);
      if (this.#isFinishing) return;
      if (clock.monotonicMs() - begunMs >= LIVED_MS_MIN) attempt = 1;
      const waitMs = backoffMs(RECONNECT, Math.min(attempt, DOUBLINGS_MAX), random);
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  async #connectOnce(parent: AbortSignal): Promise<void> {
    using connection = new Connection(this.#options, parent);
    this.#current = connection;
    try {
      await connection.run();
      connection.ended(new Failure("unavailable", "the edge has ended the stream", { retryable: true }));
    } catch (error) {
      if (!isFailure(error)) throw error;
      connection.ended(error);
    } finally {
      this.#current = undefined;
    }
  }
}

class Connection implements Disposable {
  readonly #options: EdgeLinkOptions;
  readonly #ending = new AbortController();
  readonly #signal: AbortSignal;
  /** A status is made when it is sent: one at a time waits. */
  readonly #queue = new BoundedQueue<AgentMessageInit | "status">(MESSAGES_MAX);
  readonly #timers = new DisposableStack();
  #lastHeardMs: number;
  #isUp = false;
  #isStatusQueued = false;
  #isFinishing = false;
  #leaseRequests = 0;
  #isLacking: boolean;
  #mayAskAtMs = 0;
  #askAgainMs = SNAPSHOT_ASK_MS;

  constructor(options: EdgeLinkOptions, parent: AbortSignal) {
    this.#options = options;
    this.#signal = AbortSignal.any([parent, this.#ending.signal]);
    this.#lastHeardMs = options.clock.monotonicMs();
    this.#isLacking = options.needsSnapshot() && options.watermark() !== undefined;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  async run(): Promise<void> {
    const { clock, incarnation, softwareVersion, watermark } = this.#options;
    this.#timers.use(clock.every(CHECK_MS, () => this.#check()));
    this.#timers.use(clock.every(STATUS_MS, () => this.sendStatus()));
    const client = this.#timers.use(this.#client());
    const held = watermark();
    const known = held === undefined ? {} : { watermark: toWatermark(held) };
    this.push({ message: { case: "hello", value: { incarnation, softwareVersion, ...known } } });
    this.sendStatus();
    for await (const message of client.connect(this.#outgoing(), { signal: this.#signal })) {
      this.#lastHeardMs = clock.monotonicMs();
      this.#rise();
      this.#take(message);
    }
  }

  push(message: AgentMessageInit | "status"): void {
    if (this.#queue.push(message) !== "full") return;
    this.#ending.abort(new Failure("unavailable", "the edge takes nothing any more", { retryable: true }));
  }

  sendStatus(): void {
    if (this.#isStatusQueued) return;
    this.#isStatusQueued = true;
    this.push("status");
  }

  ended(reason: Failure): void {
    const said = isFailure(this.#ending.signal.reason) ? this.#ending.signal.reason : reason;
    this.#isUp = false;
    this.#options.onDown(said);
  }

  [Symbol.dispose](): void {
    this.#ending.abort(new Failure("unavailable", "the link has ended"));
    this.#timers[Symbol.dispose]();
    this.#queue.close();
  }

  #client(): GrpcClient<typeof SiteControl> {
    const { address, tls } = this.#options;
    return createGrpcClient(SiteControl, { address, tls: tls() });
  }

  /** Takes no more; the stream ends once what waits is sent. */
  finish(): void {
    this.#isFinishing = true;
    this.#queue.close();
  }

  async *#outgoing(): AsyncGenerator<AgentMessageInit> {
    for (;;) {
      if (this.#isFinishing && this.#queue.size === 0) return;
      const next = await this.#queue.take(this.#signal).catch((error: unknown) => {
        if (this.#isFinishing) return undefined;
        throw error;
      });
      if (next === undefined) return;
      if (next === "status") {
        this.#isStatusQueued = false;
        yield { message: { case: "status", value: toAgentStatus(this.#options.status()) } };
      } else yield next;
    }
  }

  #check(): void {
    if (this.#isLacking) this.#askForSnapshot();
    if (this.#options.clock.monotonicMs() - this.#lastHeardMs <= SILENCE_MS_MAX) return;
    this.#ending.abort(new Failure("unavailable", `the edge was silent for ${SILENCE_MS_MAX} ms`, { retryable: true }));
  }

  /** The stream stands once something has come by it. */
  #rise(): void {
    if (this.#isUp) return;
    this.#isUp = true;
    this.#options.onUp();
  }

  #take({ message }: EdgeMessage): void {
    switch (message.case) {
      case "batch":
        this.#takeBatch(message.value);
        break;
      case "leaseRequest":
        this.#takeLeaseRequest(message.value);
        break;
      case "endSession": {
        const { session, attempt, reason } = message.value;
        this.#options.endSession({ session, attempt, reason: reason.slice(0, REASON_LENGTH_MAX) });
        break;
      }
      case "ping": {
        const { nonce, sentAtMs } = message.value;
        this.push({ message: { case: "pong", value: { nonce, sentAtMs } } });
        break;
      }
      case "refusal":
        throw new Failure("unavailable", `the edge refused: ${message.value.message}`, { retryable: true });
      case undefined:
        break;
    }
  }

  /** What is refused changes nothing; where the copies then differ, the whole is asked for. */
  #takeBatch(envelope: SignedBatch): void {
    const { applyBatch, needsSnapshot, events } = this.#options;
    try {
      if (applyBatch(envelope) === "awaits-parts") return;
    } catch (error) {
      if (!isFailure(error)) throw error;
      events.batchRefused(error);
      this.#isLacking ||= MENDED_BY_SNAPSHOT.has(error.code);
      return;
    }
    this.#isLacking = needsSnapshot();
    this.#askAgainMs = SNAPSHOT_ASK_MS;
  }

  #askForSnapshot(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs < this.#mayAskAtMs) return;
    this.#mayAskAtMs = nowMs + this.#askAgainMs;
    this.#askAgainMs = Math.min(this.#askAgainMs * 2, SNAPSHOT_ASK_MS_MAX);
    this.push({ message: { case: "snapshotRequest", value: { reason: "the set held does not fit" } } });
  }

  #takeLeaseRequest(message: LeaseRequestMessage): void {
    if (this.#leaseRequests >= LEASE_REQUESTS_MAX) {
      const failure = new Failure("overloaded", `${LEASE_REQUESTS_MAX} lease requests are being answered`);
      this.push(refusedAnswer(message.request, failure));
      return;
    }
    this.#leaseRequests += 1;
    void this.#answer(message).then((answer) => {
      this.#leaseRequests -= 1;
      this.push(answer);
    });
  }

  async #answer(message: LeaseRequestMessage): Promise<AgentMessageInit> {
    const { edge, lease, events } = this.#options;
    try {
      const granted = await lease(leaseRequestOf(message, edge));
      events.leaseGranted(granted);
      return grantedAnswer(message.request, granted);
    } catch (error) {
      if (!isFailure(error)) throw error;
      events.leaseRefused(error);
      return refusedAnswer(message.request, error);
    }
  }
}
