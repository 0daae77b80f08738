/** User agents that ask for everything at once: hits, misses, parts, conditions, changes, trouble, and some that leave. */
import { Agent, request } from "node:http";
import { buffer } from "node:stream/consumers";
import { systemClock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import { contentOf, type Kind, targetOf } from "./content.ts";

const HOT_OBJECTS = 200;
const BIG_OBJECTS = 6;
const SHORT_OBJECTS = 20;
const ANSWER_MS_MAX = 60_000;
const WRONG_SHOWN_MAX = 10;

interface Ask {
  readonly target: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Leaves with the first bytes. */
  readonly leaves: boolean;
}

interface Answered {
  readonly status: number;
  readonly body: Buffer;
}

/** Of a hundred requests so many. */
const MIX: readonly (readonly [number, (load: MixedLoad) => Partial<Ask> & { readonly target: string }])[] = [
  [40, (load) => ({ target: load.pick("hot", HOT_OBJECTS) })],
  [10, (load) => conditional(load.pick("hot", HOT_OBJECTS))],
  [14, (load) => ({ target: load.next("churn") })],
  [3, (load) => ({ target: load.pick("hot", HOT_OBJECTS), method: "HEAD" })],
  [8, (load) => load.part(load.pick("big", BIG_OBJECTS))],
  [4, (load) => ({ target: load.pick("big", BIG_OBJECTS) })],
  [4, (load) => ({ target: load.pick("big", BIG_OBJECTS), leaves: true })],
  [3, (load) => ({ target: load.next("churn"), leaves: true })],
  [4, (load) => ({ target: load.pick("private", HOT_OBJECTS) })],
  [5, (load) => ({ target: load.pick("short", SHORT_OBJECTS) })],
  [3, (load) => ({ target: load.pick("hot", HOT_OBJECTS), method: "POST" })],
  [1, (load) => ({ target: load.next("broken") })],
  [1, (load) => ({ target: load.next("cut") })],
];

function conditional(target: string): Partial<Ask> & { readonly target: string } {
  return { target, headers: { "if-none-match": contentOf(target)?.fields["etag"] ?? "" } };
}

export class MixedLoad {
  readonly #port: number;
  readonly #random: Random;
  #numbers = 0;
  asked = 0;
  wrong = 0;

  constructor(port: number, random: Random) {
    this.#port = port;
    this.#random = random;
  }

  pick(kind: Kind, count: number): string {
    return targetOf(kind, this.#random.integer(count));
  }

  /** One that nobody has asked for. */
  next(kind: Kind): string {
    this.#numbers += 1;
    return targetOf(kind, this.#numbers);
  }

  part(target: string): Partial<Ask> & { readonly target: string } {
    const start = this.#random.integer(600_000);
    return { target, headers: { range: `bytes=${start}-${start + this.#random.integer(90_000)}` } };
  }

  /** Asks on so many connections until the time has come; then all of them are closed. */
  async run(connections: number, untilMs: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: connections });
    const turns = Array.from({ length: connections }, async () => {
      while (systemClock.monotonicMs() < untilMs) await this.#turn(agent);
    });
    await Promise.all(turns);
    agent.destroy();
  }

  async #turn(agent: Agent): Promise<void> {
    const ask = { method: "GET", headers: {}, leaves: false, ...this.#draw() };
    const answered = await send(this.#port, agent, ask).catch(() => "failed" as const);
    this.asked += 1;
    if (isRight(ask, answered)) return;
    this.wrong += 1;
    const said = answered === "failed" ? answered : `${answered.status} with ${answered.body.byteLength} bytes`;
    if (this.wrong <= WRONG_SHOWN_MAX)
      console.log(`wrong: ${ask.method} ${ask.target} ${JSON.stringify(ask.headers)}: ${said}`);
  }

  #draw(): Partial<Ask> & { readonly target: string } {
    let left = this.#random.integer(MIX.reduce((sum, [share]) => sum + share, 0));
    for (const [share, make] of MIX) {
      if (left < share) return make(this);
      left -= share;
    }
    throw new Error("the shares add up");
  }
}

function send(port: number, agent: Agent, { target, method, headers, leaves }: Ask): Promise<Answered> {
  const signal = systemClock.deadline(ANSWER_MS_MAX);
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, path: target, method, headers, agent, signal }, (response) => {
      const { statusCode: status = 0 } = response;
      if (leaves) {
        response.once("data", () => response.destroy());
        response.once("close", () => resolve({ status, body: Buffer.alloc(0) })).on("error", () => {});
      } else buffer(response).then((body) => resolve({ status, body }), reject);
    });
    outgoing.once("error", reject).end();
  });
}

function isRight({ target, method, headers, leaves }: Ask, answered: Answered | "failed"): boolean {
  const content = contentOf(target);
  if (content === undefined) return false;
  if (content.kind === "cut") return answered === "failed" || answered.status >= 500;
  if (answered === "failed") return false;
  const { status, body } = answered;
  if (content.kind === "broken") return status === 500;
  if (leaves) return status === 200;
  if (method === "POST") return status === 204;
  if (method === "HEAD") return status === 200 && body.byteLength === 0;
  if ("if-none-match" in headers) return status === 304;
  const [, from = "", to = ""] = /^bytes=(\d+)-(\d+)$/.exec(headers["range"] ?? "") ?? [];
  if (status === 206) return body.equals(content.body.subarray(Number(from), Number(to) + 1));
  return status === 200 && body.equals(content.body);
}
