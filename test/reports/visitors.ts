/** Visitors of a site at an edge that is killed again and again: how many of them its usage must, and may, count. */
import { Agent } from "node:http";
import { systemClock } from "#platform/clock.ts";
import type { Edge } from "#test/end-to-end/fleet.ts";
import { ask } from "#test/end-to-end/http-client.ts";

const HOST = "visited.example";
const PACE_MS = 20;
/** What a busy machine may add to the interval after which an edge writes its usage down. */
const LATE_MS_MAX = 5_000;

/** Its upstream answers nobody: a visit is an answer of 502, and counts. */
export const VISITED = { name: "visited", spec: { hostnames: [HOST], pull: { upstream: "http://127.0.0.1:1" } } };

export class Visitors {
  readonly #edge: Edge;
  readonly #usageMs: number;
  /** Of this life of the edge. */
  #answeredAtMs: number[] = [];
  #sent = 0;
  #certain = 0;

  constructor(edge: Edge, usageSeconds: number) {
    this.#edge = edge;
    this.#usageMs = usageSeconds * 1000;
  }

  /** Answered or not: no more than these are counted. */
  get sent(): number {
    return this.#sent;
  }

  /** So long before a kill that they were written down. */
  get certain(): number {
    return this.#certain;
  }

  /** Whether it was answered for the site. */
  async visit(agent?: Agent): Promise<boolean> {
    this.#sent += 1;
    const answer = await ask(this.#edge.content, "/", { headers: { host: HOST }, ...(agent && { agent }) }).catch(
      () => undefined,
    );
    if (answer === undefined || answer.status === 421) return false;
    this.#answeredAtMs.push(systemClock.monotonicMs());
    return true;
  }

  async visitUntil(isOver: () => boolean): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!isOver()) {
      await this.visit(agent);
      await systemClock.sleep(PACE_MS);
    }
    agent.destroy();
  }

  /** Called when it is. */
  killed(): void {
    const writtenMs = systemClock.monotonicMs() - this.#usageMs - LATE_MS_MAX;
    this.#certain += this.#answeredAtMs.filter((atMs) => atMs < writtenMs).length;
    this.#answeredAtMs = [];
  }
}
