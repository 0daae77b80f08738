/** HTTP requests of a user at a given source address, with whole answers. */
import { type Agent, type IncomingHttpHeaders, request } from "node:http";
import { buffer } from "node:stream/consumers";
import type { Address } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";

const ANSWER_MS_MAX = 20_000;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The source address; the machine's choice where absent. */
  readonly from?: string;
  /** A connection of its own where absent. */
  readonly agent?: Agent;
}

export function ask(address: Address, path: string, asked: Asked = {}): Promise<Answer> {
  const { method = "GET", headers = {}, body, from, agent = false } = asked;
  const signal = systemClock.deadline(ANSWER_MS_MAX);
  const source = from === undefined ? {} : { localAddress: from };
  return new Promise((resolve, reject) => {
    request({ ...address, ...source, path, method, headers, agent, signal }, (response) => {
      const { statusCode: status = 0, headers: answered } = response;
      buffer(response).then((whole) => resolve({ status, headers: answered, body: whole }), reject);
    })
      .once("error", reject)
      .end(body);
  });
}

/** Throws what the server said where it is not 2xx. */
export async function askJson(address: Address, path: string, asked: Asked = {}): Promise<unknown> {
  const { status, body } = await ask(address, path, asked);
  if (status < 200 || status > 299) throw new Error(`${path}: ${status} ${body.toString().slice(0, 500)}`);
  return body.length === 0 ? undefined : JSON.parse(body.toString());
}
