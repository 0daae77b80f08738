/** One agent on its stream: what it said last, what it was promised since, and the lease requests that wait for it. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { EdgeMessageSchema, LeaseAnswer } from "#contracts/generated/perigee/v1/site_pb.js";
import type { Watermark } from "#domain/desired-state.ts";
import { Failure, type FailureCode, isFailure } from "#domain/failure.ts";
import type { AgentStatus } from "#domain/fleet/node.ts";
import type { PartCapacity } from "#domain/placement/node-choice.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import type { PeerLink } from "#platform/grpc/peer-link.ts";
import { type LeaseOutcome, type LeaseRequestSent, leaseOutcomeOf, leaseRequestMessage } from "./lease.ts";

export type EdgeMessageInit = MessageInitShape<typeof EdgeMessageSchema>;

/** Most slots are free or held; these are being given away. */
export const LEASE_REQUESTS_MAX = 64;
/** An agent tells of a change at once: a granted session that no status names after this has ended. */
const PROMISE_MS = 5_000;
/** After these the agent may hold, or still be making, a lease that nobody will use. */
const UNSETTLED_CODES: ReadonlySet<FailureCode> = new Set(["deadline-exceeded", "upstream-malformed"]);

interface Promised {
  readonly attempt: number;
  readonly renderClass: string;
}

export class ConnectedAgent {
  readonly name: string;
  readonly incarnation: string;
  readonly link: PeerLink<EdgeMessageInit>;
  /** What it has of the pool's set, as far as it was sent. */
  held: Watermark | undefined;
  readonly #waiting = new Map<bigint, (answer: LeaseAnswer) => void>();
  readonly #promised: BoundedMap<string, Promised>;
  #status: AgentStatus | undefined;
  #request = 0n;

  constructor(options: {
    readonly name: string;
    readonly incarnation: string;
    readonly link: PeerLink<EdgeMessageInit>;
    readonly held: Watermark | undefined;
    readonly clock: Clock;
  }) {
    this.name = options.name;
    this.incarnation = options.incarnation;
    this.link = options.link;
    this.held = options.held;
    const lifetime = { ms: PROMISE_MS, clock: options.clock };
    this.#promised = new BoundedMap({ entriesMax: LEASE_REQUESTS_MAX, lifetime });
  }

  /** Undefined until it has said anything of itself. */
  get status(): AgentStatus | undefined {
    return this.#status;
  }

  setStatus(status: AgentStatus): void {
    this.#status = status;
    for (const { session } of status.sessions) this.#promised.delete(session);
  }

  /** The attempt of a session that it holds or was just granted. */
  attemptOf(session: string): number | undefined {
    const reported = this.#status?.sessions.find((held) => held.session === session)?.attempt;
    return this.#promised.peek(session)?.attempt ?? reported;
  }

  /** Those that it holds, or was just granted. */
  sessions(): readonly string[] {
    const reported = (this.#status?.sessions ?? []).map(({ session }) => session);
    return [...new Set([...reported, ...[...this.#promised.entries()].map(([session]) => session)])];
  }

  /** By render class. */
  slots(): ReadonlyMap<string, PartCapacity> {
    const promised = [...this.#promised.entries()].map(([, { renderClass }]) => renderClass);
    const slots = this.#status?.slots ?? [];
    return new Map(
      slots.map(({ renderClass, total, free }) => {
        const given = promised.filter((name) => name === renderClass).length;
        return [renderClass, { total, free: Math.max(0, free - given) }];
      }),
    );
  }

  /** Never throws a `Failure`: silence until the signal, and the end of the stream, are refusals too. */
  async requestLease(sent: LeaseRequestSent, signal: AbortSignal): Promise<LeaseOutcome> {
    if (this.#waiting.size >= LEASE_REQUESTS_MAX) {
      const message = `agent ${this.name} has ${LEASE_REQUESTS_MAX} requests to answer`;
      return { kind: "passed-on", failure: new Failure("overloaded", message, { retryable: true }) };
    }
    const { session, attempt, renderClass } = sent;
    this.#promised.set(session, { attempt, renderClass });
    const outcome = await this.#ask(sent, AbortSignal.any([signal, this.link.signal]));
    if (outcome.kind === "granted" && !this.#isReported(session, attempt)) {
      this.#promised.set(session, { attempt, renderClass });
    } else this.#promised.delete(session);
    if (outcome.kind === "passed-on" && UNSETTLED_CODES.has(outcome.failure.code)) {
      this.endSession({ session, attempt, reason: `no usable answer: ${outcome.failure.code}` });
    }
    return outcome;
  }

  endSession(end: { readonly session: string; readonly attempt: number; readonly reason: string }): void {
    if (!this.link.signal.aborted) this.link.push({ message: { case: "endSession", value: end } });
  }

  /** An answer that nobody waits for came too late: the session was ended when it was given up. */
  takeAnswer(answer: LeaseAnswer): void {
    this.#waiting.get(answer.request)?.(answer);
  }

  takeEnd(session: string): void {
    this.#promised.delete(session);
    if (this.#status === undefined) return;
    this.#status = { ...this.#status, sessions: this.#status.sessions.filter((held) => held.session !== session) };
  }

  #isReported(session: string, attempt: number): boolean {
    return this.#status?.sessions.some((held) => held.session === session && held.attempt === attempt) ?? false;
  }

  async #ask(sent: LeaseRequestSent, signal: AbortSignal): Promise<LeaseOutcome> {
    this.#request += 1n;
    const request = this.#request;
    const { promise, resolve, reject } = Promise.withResolvers<LeaseAnswer>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.set(request, resolve);
    try {
      signal.throwIfAborted();
      this.link.push({ message: { case: "leaseRequest", value: leaseRequestMessage(request, sent) } });
      return leaseOutcomeOf(await promise, sent);
    } catch (error) {
      if (!isFailure(error)) throw error;
      return { kind: "passed-on", failure: error };
    } finally {
      this.#waiting.delete(request);
      signal.removeEventListener("abort", onAbort);
    }
  }
}
