/** The one stream to the origin: batches down, status and reports up; noticed dead in 9 s, made again with jitter. */
import { isDeepStrictEqual } from "node:util";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { toNodeStatus } from "#contracts/codec/node-status.ts";
import { fromUint64 } from "#contracts/codec/numbers.ts";
import { toWatermark } from "#contracts/codec/pool-batch.ts";
import { toReportBatch } from "#contracts/codec/reports.ts";
import type { NodeMessageSchema, OriginMessage, Refusal } from "#contracts/generated/perigee/v1/node_pb.js";
import { Failure, type FailureCode, isFailure } from "#domain/failure.ts";
import type { NodeStatus } from "#domain/fleet/node.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedQueue } from "#platform/concurrency/bounded-queue.ts";
import { backoffMs } from "#platform/concurrency/retry.ts";
import type { Random } from "#platform/random.ts";
import type { PoolSet, SignedBatch } from "../desired-state/pool-set.ts";
import type { ReportQueue } from "../reports/report-queue.ts";

/** The origin pings every 4 s: two lost ones, and it is gone. */
export const SILENCE_MS_MAX = 9000;
const CHECK_MS = 1000;
/** An edge that speaks for agents says so as often: without it a scheduler gives them no session. */
const STATUS_MS = 4000;
/** What has not changed is said again after this. */
const SAME_STATUS_MS = 60_000;
/** A link that lived for so long was a good one: the next wait begins short again. */
const LIVED_MS_MIN = 10_000;
const RECONNECT = { attemptsMax: 1, baseMs: 500, capMs: 30_000 };
const DOUBLINGS_MAX = 10;
/** Status, reports and pongs; a link that takes none of them is dead. */
const MESSAGES_MAX = 64;
/** A set that does not fit is asked for whole; where that does not fit either, ever more seldom. */
const SNAPSHOT_ASK_MS = 5000;
const SNAPSHOT_ASK_MS_MAX = 300_000;

/** After these the origin goes on from a revision that is not ours. */
const MENDED_BY_SNAPSHOT: ReadonlySet<FailureCode> = new Set([
  "digest-mismatch",
  "disk-full",
  "resource-invalid",
  "revision-compacted",
  "storage-failed",
]);

/** No snapshot mends these: asked for again only when the log has gone on, and then soon. */
const HELD_BACK: ReadonlySet<FailureCode> = new Set(["revision-quarantined", "shrink-refused"]);

/** In place of a sequence that is awaited: none will come. */
const REPORTS_BROKEN = -1;

type Outgoing = MessageInitShape<typeof NodeMessageSchema>;

/** One stream to the origin, which ends by the signal's abort; everything thrown is a Failure. */
export type ConnectOrigin = (messages: AsyncIterable<Outgoing>, signal: AbortSignal) => AsyncIterable<OriginMessage>;

/** Ends a stream whose place another one takes at once: the link has not fallen unless that one does not stand. */
export const HANDOVER = new Failure("unavailable", "another way to the origin is taken", { retryable: true });

export interface OriginLinkOptions {
  readonly connect: ConnectOrigin;
  /** Where there are more ways than that: by which one each attempt is made. Rejects once the signal is aborted. */
  readonly route?: (signal: AbortSignal) => Promise<ConnectOrigin>;
  readonly incarnation: string;
  readonly softwareVersion: string;
  readonly set: PoolSet;
  readonly reports: ReportQueue;
  readonly originTime: { heard(originMs: number): void };
  readonly status: () => NodeStatus;
  /** The set has changed by this batch, which is durable. */
  readonly onBatch: (envelope: SignedBatch) => void;
  readonly onUp: () => void;
  readonly onDown: (reason: Failure) => void;
  readonly events: {
    batchRefused(failure: Failure): void;
    originRefused(code: string, message: string): void;
    /** Each time, also where it never stood. */
    linkFailed(failure: Failure): void;
    /** Reports could not be read or forgotten. */
    storageFailed(failure: Failure): void;
  };
  readonly clock: Clock;
  readonly random: Random;
}

export class OriginLink implements AsyncDisposable {
  readonly #options: OriginLinkOptions;
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;
  #current: Connection | undefined;
  #isUp = false;

  constructor(options: OriginLinkOptions) {
    this.#options = {
      ...options,
      onUp: () => {
        if (this.#isUp) return;
        this.#isUp = true;
        options.onUp();
      },
      onDown: (reason) => {
        if (!this.#isUp) return;
        this.#isUp = false;
        options.onDown(reason);
      },
    };
    this.#ended = this.#run();
  }

  /** What changed is told without waiting for the next turn. */
  sendNow(): void {
    this.#current?.sendStatus();
    this.#current?.sendReports();
  }

  sendReports(): void {
    this.#current?.sendReports();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Failure("unavailable", "the edge is stopping"));
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { clock, random, onDown } = this.#options;
    const { signal } = this.#stopping;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      const begunMs = clock.monotonicMs();
      const failure = await this.#connectOnce(signal);
      if (failure === HANDOVER && !signal.aborted) {
        attempt = 0;
        continue;
      }
      onDown(failure);
      if (signal.aborted) return;
      this.#options.events.linkFailed(failure);
      if (clock.monotonicMs() - begunMs >= LIVED_MS_MIN) attempt = 1;
      const told = Number(failure.detail["retryAfterSeconds"] ?? 0) * 1000;
      const waitMs = told + backoffMs(RECONNECT, Math.min(attempt, DOUBLINGS_MAX), random);
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  /** Gives why it ended. */
  async #connectOnce(parent: AbortSignal): Promise<Failure> {
    let connect: ConnectOrigin;
    try {
      connect = (await this.#options.route?.(parent)) ?? this.#options.connect;
    } catch (error) {
      if (!isFailure(error)) throw error;
      return error;
    }
    using connection = new Connection(this.#options, parent);
    this.#current = connection;
    try {
      await connection.run(connect);
      return connection.ended(new Failure("unavailable", "the origin has ended the stream", { retryable: true }));
    } catch (error) {
      if (!isFailure(error)) throw error;
      return connection.ended(error);
    } finally {
      this.#current = undefined;
    }
  }
}

class Connection implements Disposable {
  readonly #options: OriginLinkOptions;
  readonly #ending = new AbortController();
  readonly #signal: AbortSignal;
  /** A status is made when it is sent: one at a time waits. */
  readonly #queue = new BoundedQueue<Outgoing | "status">(MESSAGES_MAX);
  readonly #timers = new DisposableStack();
  #lastHeardMs: number;
  #isUp = false;
  #isStatusQueued = false;
  #sentSequence = 0;
  #sentStatus: { readonly status: NodeStatus; readonly atMs: number } | undefined;
  /** Why the set is not what the origin has; asked about until a snapshot fits. */
  #lacking: string | undefined;
  #mayAskAtMs = 0;
  #askAgainMs = SNAPSHOT_ASK_MS;

  constructor(options: OriginLinkOptions, parent: AbortSignal) {
    this.#options = options;
    this.#signal = AbortSignal.any([parent, this.#ending.signal]);
    this.#lastHeardMs = options.clock.monotonicMs();
  }

  async run(connect: ConnectOrigin): Promise<void> {
    const { set, incarnation, softwareVersion, clock } = this.#options;
    this.#timers.use(clock.every(CHECK_MS, () => this.#check()));
    this.#timers.use(clock.every(STATUS_MS, () => this.#sendDue()));
    const { watermark } = set;
    const held = watermark === undefined ? {} : { watermark: toWatermark(watermark) };
    this.#push({ message: { case: "hello", value: { incarnation, softwareVersion, ...held } } });
    this.sendStatus();
    for await (const message of connect(this.#outgoing(), this.#signal)) {
      this.#lastHeardMs = clock.monotonicMs();
      if (message.message.case !== "refusal") this.#rise();
      this.#take(message);
    }
  }

  sendStatus(): void {
    if (this.#isStatusQueued) return;
    this.#isStatusQueued = true;
    this.#push("status");
  }

  #sendStatusIfDue(): void {
    const { clock, status } = this.#options;
    const sent = this.#sentStatus;
    const isRecent = sent !== undefined && clock.monotonicMs() - sent.atMs < SAME_STATUS_MS;
    if (isRecent && sent.status.agents.length === 0 && isDeepStrictEqual(sent.status, status())) return;
    this.sendStatus();
  }

  /** One batch at a time; the next when it is acknowledged. What is handed out stays as it is: not before somebody is there. */
  sendReports(): void {
    if (!this.#isUp || this.#sentSequence !== 0) return;
    this.#withReports((reports) => {
      const batch = reports.next();
      if (batch === undefined) return;
      this.#sentSequence = batch.sequence;
      this.#push({ message: { case: "reports", value: toReportBatch(batch) } });
    });
  }

  /** A queue that cannot be read or written is told of, and left alone while this link stands, or until there is room again: the link is for more. */
  #withReports(use: (reports: ReportQueue) => void): void {
    try {
      use(this.#options.reports);
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#sentSequence = error.retryable ? 0 : REPORTS_BROKEN;
      this.#options.events.storageFailed(error);
    }
  }

  #sendDue(): void {
    this.#sendStatusIfDue();
    this.sendReports();
  }

  ended(reason: Failure): Failure {
    return isFailure(this.#ending.signal.reason) ? this.#ending.signal.reason : reason;
  }

  [Symbol.dispose](): void {
    this.#ending.abort(new Failure("unavailable", "the link has ended"));
    this.#timers[Symbol.dispose]();
    this.#queue.close();
  }

  async *#outgoing(): AsyncGenerator<Outgoing> {
    for (;;) {
      const next = await this.#queue.take(this.#signal);
      if (next === "status") {
        this.#isStatusQueued = false;
        const status = this.#options.status();
        this.#sentStatus = { status, atMs: this.#options.clock.monotonicMs() };
        yield { message: { case: "status", value: toNodeStatus(status) } };
      } else yield next;
    }
  }

  #push(message: Outgoing | "status"): void {
    if (this.#queue.push(message) !== "full") return;
    this.#ending.abort(new Failure("unavailable", "the origin takes nothing any more", { retryable: true }));
  }

  #check(): void {
    if (this.#lacking !== undefined) this.#askForSnapshot(this.#lacking);
    if (this.#options.clock.monotonicMs() - this.#lastHeardMs <= SILENCE_MS_MAX) return;
    this.#ending.abort(
      new Failure("unavailable", `the origin was silent for ${SILENCE_MS_MAX} ms`, { retryable: true }),
    );
  }

  /** The stream stands once something has come by it. */
  #rise(): void {
    if (this.#isUp) return;
    this.#isUp = true;
    this.#options.onUp();
    this.sendReports();
    if (this.#options.set.needsSnapshot && this.#options.set.watermark !== undefined)
      this.#askForSnapshot("long chain");
  }

  #take({ message }: OriginMessage): void {
    switch (message.case) {
      case "batch":
        this.#takeBatch(message.value);
        break;
      case "ping": {
        const { nonce, sentAtMs } = message.value;
        this.#options.originTime.heard(fromUint64(sentAtMs, "sentAtMs"));
        this.#push({ message: { case: "pong", value: { nonce, sentAtMs } } });
        break;
      }
      case "reportAck":
        this.#acknowledged(fromUint64(message.value.sequence, "sequence"));
        break;
      case "refusal":
        throw this.#refusalOf(message.value);
      // For siblings: taken before it comes here.
      case "relayed":
      case undefined:
        break;
    }
  }

  /** Reports that the disk does not let go now are sent again with a later status: the origin keeps each once. */
  #acknowledged(sequence: number): void {
    let isForgotten = false;
    this.#withReports((reports) => {
      reports.acknowledge(sequence);
      this.#sentSequence = 0;
      isForgotten = true;
    });
    if (!isForgotten) return;
    this.sendReports();
  }

  #refusalOf({ code, message, retryAfterSeconds }: Refusal): Failure {
    this.#options.events.originRefused(code, message);
    return new Failure("unavailable", `the origin refused: ${message}`, {
      detail: { retryAfterSeconds },
      retryable: true,
    });
  }

  /** What is refused changes nothing; where the copies then differ, the whole is asked for. */
  #takeBatch(envelope: SignedBatch): void {
    const { set, events, onBatch } = this.#options;
    try {
      if (!set.apply(envelope)) return;
    } catch (error) {
      if (!isFailure(error)) throw error;
      events.batchRefused(error);
      if (MENDED_BY_SNAPSHOT.has(error.code)) this.#lacking = error.code;
      else if (HELD_BACK.has(error.code)) {
        this.#lacking = undefined;
        this.#askAgainMs = SNAPSHOT_ASK_MS;
      }
      return;
    }
    this.#lacking = set.needsSnapshot ? "long chain" : undefined;
    this.#askAgainMs = SNAPSHOT_ASK_MS;
    onBatch(envelope);
  }

  #askForSnapshot(reason: string): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs < this.#mayAskAtMs) return;
    this.#mayAskAtMs = nowMs + this.#askAgainMs;
    this.#askAgainMs = Math.min(this.#askAgainMs * 2, SNAPSHOT_ASK_MS_MAX);
    this.#push({ message: { case: "snapshotRequest", value: { reason } } });
  }
}
