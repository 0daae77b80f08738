/** A response whose body breaks off at a peer goes on from the upstream, byte-exact, where its validator is strong. */
import { Failure, isFailure } from "#domain/failure.ts";
import { type Fields, fieldValue } from "#domain/http/fields.ts";
import type { UpstreamRequest, UpstreamResponse } from "../upstream/upstream-client.ts";

type Fetch = (request: UpstreamRequest) => Promise<UpstreamResponse>;

/** Once: an upstream that breaks off too is not better asked a third time. */
export function resumable(response: UpstreamResponse, request: UpstreamRequest, fetch: Fetch): UpstreamResponse {
  const whole = wholeOf(response, request);
  if (whole === undefined) return response;
  let rest: UpstreamResponse | undefined;
  const fetchRest = async (fromByte: number): Promise<UpstreamResponse> => {
    rest = await fetchFrom(fromByte, whole, request, fetch);
    return rest;
  };
  return {
    ...response,
    body: goingOn(response.body, fetchRest),
    discard() {
      response.discard();
      rest?.discard();
    },
  };
}

interface Whole {
  readonly etag: string;
  readonly lengthBytes: number;
}

/** `undefined` where a part of it could not be told from that of another representation. */
function wholeOf({ status, fields }: UpstreamResponse, request: UpstreamRequest): Whole | undefined {
  const etag = fieldValue(fields, "etag") ?? "";
  const length = fieldValue(fields, "content-length");
  const isStrong = /^"[^"]*"$/.test(etag);
  if (status !== 200 || !isStrong || length === undefined || request.fields.has("range")) return undefined;
  return { etag, lengthBytes: Number(length) };
}

async function* goingOn(
  body: AsyncIterable<Uint8Array>,
  fetchRest: (fromByte: number) => Promise<UpstreamResponse>,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += chunk.byteLength;
      yield chunk;
    }
  } catch (error) {
    if (!isFailure(error)) throw error;
    const rest = await fetchRest(bytes);
    yield* rest.body;
  }
}

async function fetchFrom(fromByte: number, { etag, lengthBytes }: Whole, request: UpstreamRequest, fetch: Fetch) {
  const fields: Fields = new Map([
    ...[...request.fields].filter(([name]) => name !== "if-none-match" && name !== "if-modified-since"),
    ["range", [`bytes=${fromByte}-`]],
    ["if-range", [etag]],
  ]);
  const rest = await fetch({ ...request, fields });
  const expected = `bytes ${fromByte}-${lengthBytes - 1}/${lengthBytes}`;
  const isRest = fieldValue(rest.fields, "content-range") === expected && fieldValue(rest.fields, "etag") === etag;
  if (rest.status === 206 && isRest) return rest;
  rest.discard();
  throw new Failure(
    "upstream-truncated",
    `${request.method} ${request.target}: broke off after ${fromByte} bytes of ${lengthBytes}, and the upstream has no rest of ${etag}`,
    { retryable: true },
  );
}
