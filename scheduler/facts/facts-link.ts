/** The one stream to the origin: desired state and what is observed down, decisions and words on nodes up; noticed dead in 10 s. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type DecisionResult, fromDecisionResult } from "#contracts/codec/decisions.ts";
import { fromObserved } from "#contracts/codec/facts.ts";
import { toWatermark } from "#contracts/codec/pool-batch.ts";
import type { Refusal } from "#contracts/generated/perigee/v1/node_pb.js";
import {
  type FactsMessage,
  type ObservedNode as ObservedMessage,
  type SchedulerMessageSchema,
  SchedulerSync,
} from "#contracts/generated/perigee/v1/scheduler_pb.js";
import { Failure, type FailureCode, isFailure } from "#domain/failure.ts";
import type { Address } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedQueue } from "#platform/concurrency/bounded-queue.ts";
import { backoffMs } from "#platform/concurrency/retry.ts";
import { type ClientTls, createGrpcClient } from "#platform/grpc/client.ts";
import type { Random } from "#platform/random.ts";
import type { DesiredSet, SignedBatch } from "./desired-set.ts";
import type { ObservedNode } from "./fleet.ts";

/** The origin pings every 3 s: three lost ones, and it is gone. */
export const SILENCE_MS_MAX = 9000;
const CHECK_MS = 1000;
/** A link that lived for so long was a good one: the next wait begins short again. */
const LIVED_MS_MIN = 10_000;
const RECONNECT = { attemptsMax: 1, baseMs: 500, capMs: 30_000 };
const DOUBLINGS_MAX = 10;
/** Decisions, states and pongs; a link that takes none of them is dead. */
export const MESSAGES_MAX = 256;
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

type Outgoing = MessageInitShape<typeof SchedulerMessageSchema>;
export type OutgoingMessage = Outgoing["message"];

export interface FactsReceiver {
  /** The set has changed, durably. */
  desired(): void;
  observed(node: ObservedNode): void;
  /** These are all that the origin knows of. */
  complete(nodes: ReadonlySet<string>): void;
  lease(isHeld: boolean): void;
  decided(result: DecisionResult): void;
  up(): void;
  down(reason: Failure): void;
}

export interface FactsLinkOptions {
  /** Of the origin whose turn it is; its name is looked up anew for each connection. */
  readonly nextAddress: () => Address;
  readonly tls: () => ClientTls;
  readonly incarnation: string;
  readonly softwareVersion: string;
  readonly clientUrl: string;
  readonly set: DesiredSet;
  readonly receiver: FactsReceiver;
  readonly events: { batchRefused(failure: Failure): void; originRefused(code: string, message: string): void };
  readonly clock: Clock;
  readonly random: Random;
}

export class FactsLink implements AsyncDisposable {
  readonly #options: FactsLinkOptions;
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;
  #current: Connection | undefined;

  constructor(options: FactsLinkOptions) {
    this.#options = options;
    this.#ended = this.#run();
  }

  /** False where the link does not stand: nothing waits for it to come up. */
  send(message: OutgoingMessage): boolean {
    return this.#current?.send(message) ?? false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Failure("unavailable", "the scheduler is stopping"));
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#options;
    const { signal } = this.#stopping;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      const begunMs = clock.monotonicMs();
      const failure = await this.#connectOnce(signal);
      if (signal.aborted) return;
      if (clock.monotonicMs() - begunMs >= LIVED_MS_MIN) attempt = 1;
      const told = Number(failure.detail["retryAfterSeconds"] ?? 0) * 1000;
      const waitMs = told + backoffMs(RECONNECT, Math.min(attempt, DOUBLINGS_MAX), random);
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  /** Gives why it ended. */
  async #connectOnce(parent: AbortSignal): Promise<Failure> {
    using connection = new Connection(this.#options, parent);
    this.#current = connection;
    try {
      await connection.run();
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
  readonly #options: FactsLinkOptions;
  readonly #ending = new AbortController();
  readonly #signal: AbortSignal;
  readonly #queue = new BoundedQueue<Outgoing>(MESSAGES_MAX);
  readonly #timers = new DisposableStack();
  readonly #seen = new Set<string>();
  #lastHeardMs: number;
  #isUp = false;
  /** Why the set is not what the origin has; asked about until a snapshot fits. */
  #lacking: string | undefined;
  #mayAskAtMs = 0;
  #askAgainMs = SNAPSHOT_ASK_MS;

  constructor(options: FactsLinkOptions, parent: AbortSignal) {
    this.#options = options;
    this.#signal = AbortSignal.any([parent, this.#ending.signal]);
    this.#lastHeardMs = options.clock.monotonicMs();
  }

  async run(): Promise<void> {
    const { nextAddress, tls, set, incarnation, softwareVersion, clientUrl, clock } = this.#options;
    this.#timers.use(clock.every(CHECK_MS, () => this.#check()));
    const client = this.#timers.use(createGrpcClient(SchedulerSync, { address: nextAddress(), tls: tls() }));
    const { watermark } = set;
    const held = watermark === undefined ? {} : { watermark: toWatermark(watermark) };
    this.#push({ case: "hello", value: { incarnation, softwareVersion, clientUrl, ...held } });
    for await (const message of client.connect(this.#outgoing(), { signal: this.#signal })) {
      this.#lastHeardMs = clock.monotonicMs();
      this.#rise();
      this.#take(message);
    }
  }

  send(message: OutgoingMessage): boolean {
    if (this.#isUp) this.#push(message);
    return this.#isUp;
  }

  ended(reason: Failure): Failure {
    const said = isFailure(this.#ending.signal.reason) ? this.#ending.signal.reason : reason;
    if (this.#isUp) this.#options.receiver.down(said);
    return said;
  }

  [Symbol.dispose](): void {
    this.#ending.abort(new Failure("unavailable", "the link has ended"));
    this.#timers[Symbol.dispose]();
    this.#queue.close();
  }

  async *#outgoing(): AsyncGenerator<Outgoing> {
    for (;;) yield await this.#queue.take(this.#signal);
  }

  #push(message: OutgoingMessage): void {
    if (message === undefined || this.#queue.push({ message }) !== "full") return;
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
    this.#options.receiver.up();
    if (this.#options.set.needsSnapshot) this.#askForSnapshot("long chain");
  }

  #take({ message }: FactsMessage): void {
    const { receiver } = this.#options;
    switch (message.case) {
      case "batch":
        this.#takeBatch(message.value);
        break;
      case "observed":
        this.#takeObserved(message.value);
        break;
      case "observedComplete":
        receiver.complete(new Set(this.#seen));
        break;
      case "decisionResult":
        receiver.decided(fromDecisionResult(message.value));
        break;
      case "lease":
        receiver.lease(message.value.held);
        break;
      case "ping": {
        const { nonce, sentAtMs } = message.value;
        this.#push({ case: "pong", value: { nonce, sentAtMs } });
        break;
      }
      case "refusal":
        throw this.#refusalOf(message.value);
      case undefined:
        break;
    }
  }

  #refusalOf({ code, message, retryAfterSeconds }: Refusal): Failure {
    this.#options.events.originRefused(code, message);
    return new Failure("unavailable", `the origin refused: ${message}`, {
      detail: { retryAfterSeconds },
      retryable: true,
    });
  }

  /** A node of a later version may say what cannot be read here; its link is known all the same. */
  #takeObserved(message: ObservedMessage): void {
    const { node, linkUp } = message;
    this.#seen.add(node);
    try {
      const { status } = fromObserved(message);
      this.#options.receiver.observed({ node, linkUp, status });
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#options.events.batchRefused(error);
      this.#options.receiver.observed({ node, linkUp, status: undefined });
    }
  }

  /** What is refused changes nothing; where the copies then differ, the whole is asked for. */
  #takeBatch(envelope: SignedBatch): void {
    const { set, events, receiver } = this.#options;
    try {
      if (!set.apply(envelope)) return;
    } catch (error) {
      if (!isFailure(error)) throw error;
      events.batchRefused(error);
      if (MENDED_BY_SNAPSHOT.has(error.code)) this.#lacking = error.code;
      return;
    }
    this.#lacking = set.needsSnapshot ? "long chain" : undefined;
    this.#askAgainMs = SNAPSHOT_ASK_MS;
    receiver.desired();
  }

  #askForSnapshot(reason: string): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs < this.#mayAskAtMs) return;
    this.#mayAskAtMs = nowMs + this.#askAgainMs;
    this.#askAgainMs = Math.min(this.#askAgainMs * 2, SNAPSHOT_ASK_MS_MAX);
    this.#push({ case: "snapshotRequest", value: { reason } });
  }
}
