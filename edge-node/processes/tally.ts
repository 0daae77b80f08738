/** Counts in a front process, until the main one is told: what of its work no other process sees. */
import type { EdgeEvents } from "../events.ts";
import type { FrontEvents } from "../front/front.ts";
import type { TlsEvents } from "../front/tls/tls-listener.ts";
import { SiteTallies } from "../usage/site-tallies.ts";
import type { Counts } from "./messages.ts";

type Counted = FrontEvents &
  Pick<EdgeEvents, "accessLinesLost"> &
  Pick<TlsEvents, "handshakeDone" | "handshakeFailed" | "h2Refused">;

export class Tally {
  #counts = emptyCounts();
  readonly usage = new SiteTallies();

  /** What only the main process answers, or ends, it counts itself. */
  readonly events: Counted = {
    hit: (status) => add(this.#counts.hits, status),
    published: (status) => add(this.#counts.published, status),
    sent: (contentBytes) => {
      this.#counts.sentBytes += contentBytes;
    },
    connectionRefused: (because) => add(this.#counts.connectionsRefused, because),
    accessLinesLost: (lines) => {
      this.#counts.linesLost += lines;
    },
    handshakeDone: (protocol, isResumed) => add(this.#counts.handshakes, `${protocol} ${isResumed}` as const),
    handshakeFailed: (because) => add(this.#counts.handshakesFailed, because),
    h2Refused: () => undefined,
    malformed: () => undefined,
    served: () => undefined,
    broke: () => undefined,
  };

  /** What was counted since it was last asked. */
  take(used: readonly string[]): Counts {
    const counts = this.#counts;
    this.#counts = emptyCounts();
    return { ...counts, used, usage: this.usage.take() };
  }
}

function add<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function emptyCounts() {
  return {
    hits: new Map<number, number>(),
    published: new Map<number, number>(),
    sentBytes: 0,
    connectionsRefused: new Map<Parameters<Counted["connectionRefused"]>[0], number>(),
    handshakes: new Map<`${"h2" | "http/1.1"} ${boolean}`, number>(),
    handshakesFailed: new Map<Parameters<Counted["handshakeFailed"]>[0], number>(),
    linesLost: 0,
  };
}
