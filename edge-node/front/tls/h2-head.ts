/** The head of an HTTP/2 request as HTTP/1.1 would have said it, so that one rule reads both (RFC 9113 section 8.3). Pure. */

export type H2Head =
  | {
      readonly kind: "request";
      readonly method: string;
      readonly target: string;
      /** Flat names and values, the Host first, no pseudo-fields and none of a connection. */
      readonly rawHeaders: readonly string[];
    }
  | { readonly kind: "refused"; readonly status: 400 | 431; readonly why: string };

export interface H2HeadOptions {
  /** Whether content follows. */
  readonly hasContent: boolean;
  /** Counted as RFC 9113 section 6.5.2 says; held by nghttp2 only once the client has acknowledged it. */
  readonly headerListBytesMax: number;
}

const FIELD_OVERHEAD_BYTES = 32;

/** RFC 9113 section 8.2.2; `te` says "trailers" at most, which no answer here has. */
const OF_A_CONNECTION = new Set(["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"]);

/** `raw` is as Node gives it, in the order of the wire; what breaks the protocol itself has ended the stream before. */
export function readH2Head(raw: readonly string[], { hasContent, headerListBytesMax }: H2HeadOptions): H2Head {
  const listBytes = raw.reduce((sum, text) => sum + text.length + FIELD_OVERHEAD_BYTES / 2, 0);
  if (listBytes > headerListBytesMax) return refused(`the fields have more than ${headerListBytesMax} bytes`, 431);
  const pseudo = new Map<string, string>();
  const hosts: string[] = [];
  const cookies: string[] = [];
  const fields: string[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? "";
    const value = raw[index + 1] ?? "";
    if (name.startsWith(":")) pseudo.set(name, value);
    else if (name === "host") hosts.push(value);
    else if (name === "cookie") cookies.push(value);
    else if (!OF_A_CONNECTION.has(name)) fields.push(name, value);
  }
  const method = pseudo.get(":method") ?? "";
  const target = pseudo.get(":path");
  if (pseudo.get(":scheme") !== "https" || target === undefined) return refused("the target must be an https one");
  const host = hostOf(pseudo.get(":authority"), hosts);
  if (host === undefined) return refused("a request has one :authority, and a Host that is the same or none");
  // RFC 9113 section 8.2.3: crumbs of one cookie field.
  if (cookies.length > 0) fields.push("cookie", cookies.join("; "));
  // Content whose length is not said is what HTTP/1.1 calls chunked.
  if (hasContent && !fields.some((text, index) => index % 2 === 0 && text === "content-length"))
    fields.push("transfer-encoding", "chunked");
  return { kind: "request", method, target, rawHeaders: ["host", host, ...fields] };
}

/** RFC 9113 section 8.3.1; `undefined` where there is none, more than one, or a user name in it. */
function hostOf(authority: string | undefined, hosts: readonly string[]): string | undefined {
  const said = authority === undefined ? hosts : [authority, ...hosts];
  const [host] = said;
  if (host === undefined || host === "" || host.includes("@") || hosts.length > 1) return undefined;
  return said.every((other) => other.toLowerCase() === host.toLowerCase()) ? host : undefined;
}

function refused(why: string, status: 400 | 431 = 400): H2Head {
  return { kind: "refused", status, why };
}
