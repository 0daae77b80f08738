/** Replicas of the scheduler's ledger: each a process behind a link of its own to Redis, killed and started again. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import { startTcpLink, type TcpLink } from "#platform/links/tcp-link.ts";
import type { Random } from "#platform/random.ts";
import type { RedisServer } from "#test/redis/redis-server.ts";
import type { Answer, Order, ReplicaSetting } from "./replica-messages.ts";
import type { Scale } from "./scaled-time.ts";

/** Of a replica's own clock, ahead or behind. */
const CLOCK_OFFSET_MS = 5_000;

type OrderBody = Order extends infer One ? (One extends Order ? Omit<One, "id"> : never) : never;

export class Replica {
  readonly link: TcpLink;
  readonly #scale: Scale;
  readonly #random: Random;
  #child: ChildProcess | undefined;
  #isReady = false;
  #ids = 0;
  #outbox: Order[] = [];
  readonly #waiting = new Map<number, (answer: Answer) => void>();

  static async start(server: RedisServer, scale: Scale, random: Random): Promise<Replica> {
    const link = await startTcpLink({
      ...{ clock: systemClock, random, rttMs: 0 },
      listen: { host: "127.0.0.1", port: 0 },
      target: { host: server.host, port: server.port },
    });
    const replica = new Replica(link, scale, random);
    replica.#fork();
    return replica;
  }

  private constructor(link: TcpLink, scale: Scale, random: Random) {
    this.link = link;
    this.#scale = scale;
    this.#random = random;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  get inWork(): number {
    return this.#waiting.size;
  }

  /** `died` where the process was killed with it. */
  order(body: OrderBody, answered: (answer: Answer) => void): void {
    this.#ids += 1;
    this.#waiting.set(this.#ids, answered);
    this.#outbox.push({ ...body, id: this.#ids });
  }

  flush(): void {
    if (this.#outbox.length === 0) return;
    this.#child?.send(this.#outbox);
    this.#outbox = [];
  }

  /** With all that it had begun; another begins at once. */
  async killed(): Promise<void> {
    await this.#end();
    this.#fork();
  }

  async stop(): Promise<void> {
    await this.#end();
    await this.link[Symbol.asyncDispose]();
  }

  async #end(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    this.#isReady = false;
    if (child === undefined) return;
    const ended = once(child, "exit");
    child.removeAllListeners("message");
    child.kill("SIGKILL");
    await ended;
    const lost = [...this.#waiting];
    this.#waiting.clear();
    this.#outbox = [];
    for (const [id, answered] of lost) answered({ id, outcome: "died" });
  }

  #fork(): void {
    const setting: ReplicaSetting = {
      url: `redis://127.0.0.1:${this.link.address.port}`,
      scale: this.#scale,
      offsetMs: Math.round((2 * this.#random.ratio() - 1) * CLOCK_OFFSET_MS),
    };
    const child = fork(join(import.meta.dirname, "replica-process.ts"));
    child.send(setting);
    child.on("message", (answers: readonly Answer[]) => {
      this.#isReady = true;
      for (const answer of answers) {
        const answered = this.#waiting.get(answer.id);
        this.#waiting.delete(answer.id);
        answered?.(answer);
      }
    });
    child.on("exit", (code) => {
      if (this.#child === child) throw new Error(`a replica ended by itself, with ${code}`);
    });
    this.#child = child;
  }
}
