/** Requests at a steady pace, whether or not earlier ones are answered, and how long each took. */
import { Agent } from "node:http";
import type { Address } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { type Answer, ask } from "#test/end-to-end/http-client.ts";

const PERIOD_MS = 10;
const CONNECTIONS_MAX = 16;
/** Unanswered: the next is a failure of its own. */
const WAITING_MAX = 2_000;

export interface LoadRequest {
  readonly host: string;
  readonly path: string;
  readonly isRight: (answer: Answer) => boolean;
}

interface Sample {
  readonly begunMs: number;
  readonly tookMs: number;
}

export class SteadyLoad implements AsyncDisposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS_MAX });
  readonly #samples: Sample[] = [];
  readonly #waiting = new Set<Promise<void>>();
  readonly #turning: Disposable;
  readonly #address: Address;
  readonly #requests: readonly LoadRequest[];
  #begun = 0;
  /** Answers that were wrong or did not come. */
  failures = 0;

  constructor(address: Address, requests: readonly LoadRequest[]) {
    this.#address = address;
    this.#requests = requests;
    this.#turning = systemClock.every(PERIOD_MS, () => this.#begin());
  }

  /** Of the requests begun in this time, by the monotonic clock. */
  p99Ms(fromMs: number, toMs: number): number {
    const took = this.#samples.filter(({ begunMs }) => begunMs >= fromMs && begunMs < toMs).map(({ tookMs }) => tookMs);
    if (took.length === 0) throw new Error("no request was answered");
    const sorted = took.toSorted((one, other) => one - other);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? 0;
  }

  /** When all are answered. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#turning[Symbol.dispose]();
    await Promise.all(this.#waiting);
    this.#agent.destroy();
  }

  #begin(): void {
    const request = this.#requests[this.#begun % this.#requests.length];
    this.#begun += 1;
    if (request === undefined || this.#waiting.size >= WAITING_MAX) {
      this.failures += 1;
      return;
    }
    const taking = this.#take(request);
    this.#waiting.add(taking);
    void taking.then(() => this.#waiting.delete(taking));
  }

  async #take({ host, path, isRight }: LoadRequest): Promise<void> {
    const begunMs = systemClock.monotonicMs();
    const answer = await ask(this.#address, path, { headers: { host }, agent: this.#agent }).catch(() => undefined);
    if (answer === undefined || !isRight(answer)) this.failures += 1;
    this.#samples.push({ begunMs, tookMs: systemClock.monotonicMs() - begunMs });
  }
}
