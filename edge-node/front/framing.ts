/** What of a request's framing node:http lets through and a gateway must not. Pure. */

/** Node's flat list of names and values, and the version as `1.1`. */
export interface FramedRequest {
  readonly httpVersion: string;
  readonly rawHeaders: readonly string[];
}

export interface FramingRefusal {
  readonly status: 400 | 501 | 505;
  readonly why: string;
}

export function refuseFraming({ httpVersion, rawHeaders }: FramedRequest): FramingRefusal | undefined {
  if (httpVersion !== "1.1" && httpVersion !== "1.0") return { status: 505, why: "HTTP/1.1 is spoken here" };
  let hosts = 0;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    if (isNamed(name, "host")) hosts += 1;
    if (!isNamed(name, "transfer-encoding")) continue;
    if (httpVersion === "1.0") return { status: 400, why: "HTTP/1.0 has no Transfer-Encoding" };
    if ((rawHeaders[index + 1] ?? "").toLowerCase() !== "chunked")
      return { status: 501, why: "the only transfer coding that is known here is chunked" };
  }
  return hosts > 1 ? { status: 400, why: "a request has one Host" } : undefined;
}

function isNamed(name: string, wanted: string): boolean {
  return name.length === wanted.length && name.toLowerCase() === wanted;
}
