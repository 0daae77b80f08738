/** A `fetch` that sends the fields it is given and no others of its own choice, over a connection of its own. */
import { type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";
import { systemClock } from "#platform/clock.ts";

/** Longer than an edge waits for its upstream. */
const ANSWER_MS_MAX = 30_000;

interface Asked {
  readonly method?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string;
}

/** What the suite reads of a `Response`. */
interface Answered {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
  text(): Promise<string>;
}

export function plainFetch(url: string, { method = "GET", headers = [], body }: Asked = {}): Promise<Answered> {
  const signal = systemClock.deadline(ANSWER_MS_MAX);
  const { host } = new URL(url);
  const fields = [["Host", host], ...headers, ...lengthOf(body)].flat();
  return new Promise((resolve, reject) => {
    request(url, { method, headers: fields, agent: false, signal }, (response) => resolve(answeredOf(response)))
      .once("error", reject)
      .end(body);
  });
}

function lengthOf(body: string | undefined): readonly (readonly [string, string])[] {
  return body === undefined ? [] : [["Content-Length", String(Buffer.byteLength(body))]];
}

function answeredOf(response: IncomingMessage): Answered {
  const { statusCode: status = 0, statusMessage: statusText = "", rawHeaders } = response;
  const headers = new Headers();
  for (let index = 0; index < rawHeaders.length; index += 2)
    headers.append(rawHeaders[index] ?? "", rawHeaders[index + 1] ?? "");
  return { status, statusText, headers, text: () => text(response) };
}
