/** A user agent of the behaviour suite: sees heads, first bytes and cuts as they come, one connection a request. */
import { type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { systemClock } from "#platform/clock.ts";

/** A guard only: longer than any wait that the edge itself ends. */
const ANSWER_MS_MAX = 25_000;

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Interim {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

/** An answer whose head has come. */
export class Arriving {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly interim: readonly Interim[];
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #incoming: IncomingMessage;
  #first: Buffer | undefined;

  constructor(incoming: IncomingMessage, interim: readonly Interim[]) {
    this.status = incoming.statusCode ?? 0;
    this.headers = incoming.headers;
    this.interim = interim;
    this.#incoming = incoming;
    this.#chunks = incoming[Symbol.asyncIterator]();
  }

  get cacheStatus(): string {
    return String(this.headers["cache-status"] ?? "");
  }

  /** Resolves once anything of the body is here. */
  async first(): Promise<Buffer> {
    const { value, done } = await this.#chunks.next();
    if (done === true) throw new Error("the body is empty");
    this.#first = value;
    return value;
  }

  /** All of the body; rejects where it is cut. */
  async whole(): Promise<Buffer> {
    const parts = this.#first === undefined ? [] : [this.#first];
    for (;;) {
      const { value, done } = await this.#chunks.next();
      if (done === true) return Buffer.concat(parts);
      parts.push(value);
    }
  }

  /** Cuts the connection. */
  abort(): void {
    this.#incoming.destroy();
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly interim: readonly Interim[];
  readonly cacheStatus: string;
  readonly body: Buffer;
  readonly text: string;
}

interface Opened {
  readonly answer: Promise<Arriving>;
  /** The first answer of 1xx. */
  readonly interim: Promise<Interim>;
  /** Cuts the connection before or after the head. */
  readonly abort: () => void;
}

export function begin(url: string, asked: Asked = {}): Opened {
  const { method = "GET", headers = {}, body } = asked;
  const interim: Interim[] = [];
  const outgoing = request(url, { method, headers, agent: false, signal: systemClock.deadline(ANSWER_MS_MAX) });
  const firstInterim = Promise.withResolvers<Interim>();
  outgoing.on("information", ({ statusCode: status, headers: fields }) => {
    interim.push({ status, headers: fields });
    firstInterim.resolve({ status, headers: fields });
  });
  const answer = new Promise<Arriving>((resolve, reject) => {
    outgoing.once("error", reject).once("response", (incoming) => resolve(new Arriving(incoming, interim)));
    outgoing.end(body);
  });
  answer.then(
    () => firstInterim.reject(new Error("no answer of 1xx came before the answer")),
    (error: unknown) => firstInterim.reject(error),
  );
  firstInterim.promise.catch(() => {});
  return { answer, interim: firstInterim.promise, abort: () => outgoing.destroy() };
}

export async function ask(url: string, asked: Asked = {}): Promise<Answer> {
  const arriving = await begin(url, asked).answer;
  const { status, headers, interim, cacheStatus } = arriving;
  const body = await arriving.whole();
  return { status, headers, interim, cacheStatus, body, text: body.toString() };
}
