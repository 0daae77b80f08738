/**
 * Signs requests to S3: AWS Signature Version 4, in the Authorization header ("Authenticating Requests", Amazon S3 API
 * reference). Pure: the time is an argument.
 */
import { createHash, createHmac } from "node:crypto";

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretKey: string;
  readonly region: string;
}

export interface UnsignedRequest {
  readonly method: string;
  /** With its slash, as segments that are not encoded yet. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** All of them are signed; names in lower case, `host` among them. */
  readonly fields: Readonly<Record<string, string>>;
  /** SHA-256 of the content, in hex. */
  readonly contentDigest: string;
}

const ALGORITHM = "AWS4-HMAC-SHA256";

/** The fields that the request goes out with. */
export function signRequest(
  request: UnsignedRequest,
  { accessKeyId, secretKey, region }: S3Credentials,
  nowMs: number,
): Readonly<Record<string, string>> {
  const time = new Date(nowMs).toISOString().replace(/[:-]|\.\d{3}/g, "");
  const day = time.slice(0, 8);
  const fields = { ...request.fields, "x-amz-date": time, "x-amz-content-sha256": request.contentDigest };
  const signed = Object.entries(fields).sort(byName);
  const names = signed.map(([name]) => name).join(";");
  const canonical = [
    request.method,
    encodePath(request.path),
    encodeQuery(request.query),
    ...signed.map(([name, value]) => `${name}:${value.trim()}`),
    "",
    names,
    request.contentDigest,
  ].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = [ALGORITHM, time, scope, createHash("sha256").update(canonical).digest("hex")].join("\n");
  const key = [day, region, "s3", "aws4_request"].reduce<Buffer>(
    (secret, part) => createHmac("sha256", secret).update(part).digest(),
    Buffer.from(`AWS4${secretKey}`),
  );
  const signature = createHmac("sha256", key).update(text).digest("hex");
  const authorization = `${ALGORITHM} Credential=${accessKeyId}/${scope},SignedHeaders=${names},Signature=${signature}`;
  return { ...fields, authorization };
}

/** As it is signed and sent: each segment encoded once. */
export function encodePath(path: string): string {
  return path.split("/").map(encodeWord).join("/");
}

/** In the order that is signed. */
export function encodeQuery(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]): [string, string] => [encodeWord(name), encodeWord(value)])
    .sort(byName)
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

/** RFC 3986's unreserved characters stay, all else is encoded. */
function encodeWord(word: string): string {
  return encodeURIComponent(word).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** By code units, whatever the machine's language is. */
function byName([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : 1;
}
