/**
 * By which way an edge hears the origin: by the sibling that its pool's order has first of those that answer, or itself.
 * Elected by each edge alone, from what it holds; going to the origin always works.
 */
import { Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import { type ConnectOrigin, HANDOVER } from "../link/origin-link.ts";
import type { Peer } from "../pool/membership.ts";
import { PeerHealth } from "../pool/peer-health.ts";
import { RelayRefused, refusalIn } from "./refusals.ts";
import type { Relay } from "./relay.ts";

/** Siblings that answer and do not relay now are asked no further in one go: each costs a handshake. */
const RELAYS_ASKED_MAX = 4;
/** A sibling is near; at a start of all, its processor is not free. */
export const RELAY_ANSWER_MS_MAX = 3000;
/** Two that are silent: where a whole site cannot be reached, the origin may still be. */
export const ASKING_MS_MAX = 2 * RELAY_ANSWER_MS_MAX;
/** Who stands before this edge may be about to have a link: the later in the order, the longer it is waited for. */
const PATIENCE_MS = 2000;
const PATIENCE_MS_MAX = 20_000;
const ASK_AGAIN_MS = 500;
const ASK_AGAIN_MS_MAX = 4000;
/** Who is linked directly, and relays for nobody, looks for a relay between this and twice as long. */
const LOOK_MS = 15_000;
/** A relay that holds something back cannot be told from one that has nothing: after this, to twice, the origin is heard itself. */
const RELAYED_MS = 1_800_000;

export interface RelayRouteOptions {
  readonly direct: ConnectOrigin;
  readonly relay: Pick<Relay, "size" | "linked" | "unlinked" | "merge" | "takeForSibling">;
  /** Siblings before this edge, in the pool's order. */
  readonly candidates: () => readonly Peer[];
  /** Opens a stream; throws `RelayRefused` where the sibling answers and does not relay. */
  readonly dial: (peer: Peer, signal: AbortSignal) => Promise<ConnectOrigin>;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: {
    /** Each time a link stands; `undefined`: directly. */
    linkedBy(relay: string | undefined): void;
    relayFailed(relay: string, failure: Failure): void;
  };
}

interface Relayed {
  readonly peer: Peer;
  readonly connect: ConnectOrigin;
}

export class RelayRoute {
  readonly #options: RelayRouteOptions;
  readonly #health: PeerHealth;
  /** Opened while the link stands directly, which is then given up for it. */
  #opened: Relayed | undefined;
  #current: { readonly peer: Peer; readonly ending: AbortController } | undefined;
  #directUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: RelayRouteOptions) {
    this.#options = options;
    this.#health = new PeerHealth(options.clock, options.random);
  }

  /** The way of the next attempt. Rejects with the signal's reason. */
  async next(signal: AbortSignal): Promise<ConnectOrigin> {
    const { clock, candidates, random } = this.#options;
    const opened = this.#opened;
    this.#opened = undefined;
    if (opened !== undefined) return this.#through(opened);
    const untilMs = clock.monotonicMs() + Math.min(PATIENCE_MS_MAX, PATIENCE_MS * candidates().length);
    for (let waitMs = ASK_AGAIN_MS; ; waitMs = Math.min(ASK_AGAIN_MS_MAX, waitMs * 2)) {
      const found = clock.monotonicMs() < this.#directUntilMs ? "nobody" : await this.#ask(signal);
      signal.throwIfAborted();
      if (typeof found === "object") return this.#through(found);
      const leftMs = untilMs - clock.monotonicMs();
      if (found === "nobody" || leftMs <= 0) return this.#directly();
      await clock.sleep(Math.min(leftMs, waitMs * (0.5 + random.ratio())), signal);
    }
  }

  /** The set has changed: a relay that is none any more is left. */
  reconsider(): void {
    const { candidates } = this.#options;
    const peers = candidates();
    this.#health.keep(new Set(peers.map(({ name }) => name)));
    const { peer, ending } = this.#current ?? {};
    if (peers.some(({ name, address }) => name === peer?.name && address === peer.address)) return;
    ending?.abort(HANDOVER);
  }

  /** What came was not what it should be: the origin itself is heard. */
  refused(): void {
    if (this.#current === undefined) return;
    this.#goDirect();
    this.#current.ending.abort(HANDOVER);
  }

  #goDirect(): void {
    this.#directUntilMs = this.#options.clock.monotonicMs() + this.#lookMs();
  }

  #lookMs(): number {
    return LOOK_MS * (1 + this.#options.random.ratio());
  }

  /** `wait`: somebody is there who may relay soon. */
  async #ask(signal: AbortSignal): Promise<Relayed | "wait" | "nobody"> {
    const { candidates, dial, clock, events } = this.#options;
    const untilMs = clock.monotonicMs() + ASKING_MS_MAX;
    let answered = 0;
    let mayWait = false;
    for (const peer of candidates()) {
      if (answered >= RELAYS_ASKED_MAX || clock.monotonicMs() >= untilMs || signal.aborted) break;
      if (!this.#health.mayAsk(peer.name)) continue;
      try {
        const connect = await dial(peer, clock.deadline(RELAY_ANSWER_MS_MAX, signal));
        this.#health.answered(peer.name);
        return { peer, connect };
      } catch (error) {
        if (!isFailure(error)) throw error;
        events.relayFailed(peer.name, error);
        if (error instanceof RelayRefused) {
          answered += 1;
          mayWait ||= !error.goesDirect;
          this.#health.answered(peer.name);
        } else this.#health.failed(peer.name);
      }
    }
    return mayWait ? "wait" : "nobody";
  }

  #through({ peer, connect }: Relayed): ConnectOrigin {
    const { clock, events, random } = this.#options;
    const route = this;
    return async function* (messages, signal) {
      const ending = new AbortController();
      route.#current = { peer, ending };
      const leave = (): void => {
        route.#goDirect();
        ending.abort(HANDOVER);
      };
      using _leaving = clock.timer(RELAYED_MS * (1 + random.ratio()), leave);
      let isStanding = false;
      let isEnded = false;
      try {
        for await (const message of connect(messages, AbortSignal.any([signal, ending.signal]))) {
          const refusal = refusalIn(message);
          if (refusal !== undefined) throw new RelayRefused(peer.name, refusal);
          if (!isStanding) events.linkedBy(peer.name);
          isStanding = true;
          yield message;
        }
        throw new Failure("unavailable", `${peer.name} has ended the stream`, { retryable: true });
      } catch (error) {
        isEnded = true;
        throw ending.signal.aborted ? HANDOVER : route.#ended(peer, error);
      } finally {
        route.#current = undefined;
        // What it sent could not be read.
        if (!isEnded) route.#health.failed(peer.name);
      }
    };
  }

  /** Gives the reason. */
  #ended(peer: Peer, error: unknown): unknown {
    if (!isFailure(error)) return error;
    this.#options.events.relayFailed(peer.name, error);
    if (!(error instanceof RelayRefused)) this.#health.failed(peer.name);
    else if (error.goesDirect) this.#goDirect();
    return error;
  }

  #directly(): ConnectOrigin {
    const { direct, relay, events } = this.#options;
    const route = this;
    return async function* (messages, signal) {
      const ending = new AbortController();
      const either = AbortSignal.any([signal, ending.signal]);
      using _looking = route.#lookForRelay(ending, either);
      let isStanding = false;
      try {
        for await (const message of direct(relay.merge(messages), either)) {
          const { message: said } = message;
          if (!isStanding && said.case !== "refusal") {
            isStanding = true;
            events.linkedBy(undefined);
            relay.linked();
          }
          if (said.case === "relayed") relay.takeForSibling(said.value);
          else yield message;
        }
      } catch (error) {
        throw ending.signal.aborted ? HANDOVER : error;
      } finally {
        relay.unlinked();
      }
      if (ending.signal.aborted) throw HANDOVER;
    };
  }

  /** Now and then, while this edge relays for nobody. */
  #lookForRelay(ending: AbortController, signal: AbortSignal): Disposable {
    const { clock, relay } = this.#options;
    let pending: Disposable;
    const isFree = () => !signal.aborted && relay.size === 0;
    const look = async (): Promise<void> => {
      const found = isFree() && clock.monotonicMs() >= this.#directUntilMs ? await this.#ask(signal) : "nobody";
      if (typeof found === "object" && isFree()) {
        this.#opened = found;
        ending.abort(HANDOVER);
        return;
      }
      if (typeof found === "object") await leaveUnused(found);
      if (!signal.aborted) arm();
    };
    const arm = (): void => {
      const toldMs = this.#directUntilMs - clock.monotonicMs();
      pending = clock.timer(toldMs > 0 ? toldMs : this.#lookMs(), () => void look());
    };
    arm();
    return { [Symbol.dispose]: () => pending[Symbol.dispose]() };
  }
}

/** A stream that was accepted is held at both ends until one of them closes it. */
async function leaveUnused({ connect }: Relayed): Promise<void> {
  const nothing = (async function* () {})();
  try {
    for await (const _ of connect(nothing, AbortSignal.abort(HANDOVER))) return;
  } catch (error) {
    if (!isFailure(error)) throw error;
  }
}
