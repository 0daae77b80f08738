/** An edge process with its scriptable upstream, for the behaviour suite. */
import type { Test } from "tap";
import { type EdgeProcess, startEdge } from "./edge-process.ts";
import { say, Upstream } from "./upstream.ts";
import { type Answer, type Arriving, type Asked, ask, begin } from "./user-agent.ts";

/** What is asked for until it is a hit is one after so many at the latest. */
const SETTLE_TURNS_MAX = 1_000;

export class World {
  readonly upstream: Upstream;
  readonly edge: EdgeProcess;
  #sentinels = 0;

  constructor(upstream: Upstream, edge: EdgeProcess) {
    this.upstream = upstream;
    this.edge = edge;
  }

  ask(target: string, asked: Asked = {}): Promise<Answer> {
    return ask(`${this.edge.url}${target}`, asked);
  }

  begin(target: string, asked: Asked = {}): ReturnType<typeof begin> {
    return begin(`${this.edge.url}${target}`, asked);
  }

  /** As soon as the head is there. */
  open(target: string, asked: Asked = {}): Promise<Arriving> {
    return this.begin(target, asked).answer;
  }

  /** Storing may end behind the answer: what was asked for before this is stored after it. */
  async settle(): Promise<void> {
    this.#sentinels += 1;
    const target = `/settled/${this.#sentinels}`;
    this.upstream.on(target, say("settled", { "cache-control": "max-age=3600" }));
    for (let turn = 0; turn < SETTLE_TURNS_MAX; turn += 1) {
      if (isHit(await this.ask(target))) return;
    }
    throw new Error(`nothing is stored after ${SETTLE_TURNS_MAX} requests`);
  }

  /** Asks once and waits until what came is stored. */
  async prime(target: string, asked: Asked = {}): Promise<Answer> {
    const answer = await this.ask(target, asked);
    await this.settle();
    return answer;
  }
}

export async function startWorld(t: Test, flags: readonly string[] = []): Promise<World> {
  const upstream = new Upstream(t);
  await upstream.open();
  const edge = await startEdge({ upstreamPort: upstream.port, flags });
  t.teardown(() => edge[Symbol.asyncDispose]());
  return new World(upstream, edge);
}

export function isHit({ cacheStatus }: { readonly cacheStatus: string }): boolean {
  return /^Perigee; *hit/.test(cacheStatus);
}

/** Fields of a response that is stale when it arrives, by an hour. */
export function staleFields(more: string): Record<string, string> {
  return { "cache-control": `max-age=60${more === "" ? "" : `, ${more}`}`, age: "3660", etag: '"old"' };
}

export function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
