/** Serves published sites: small objects from memory, large ones from their file; never bytes of another digest. */
import { createReadStream } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { Digest } from "#domain/content/release.ts";
import type { PublishedContent } from "#domain/content/site.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { type Fields, fieldsOf } from "#domain/http/fields.ts";
import type { CacheOutcome } from "../events.ts";
import type { BlobFetcher } from "../prefetch/blob-fetcher.ts";
import type { ActiveRelease } from "./active-releases.ts";
import type { BlobFolder } from "./blob-folder.ts";
import type { ObjectMemory } from "./object-memory.ts";
import { sendProblem } from "./problems.ts";
import { decidePublished, entityTagOf, type PublishedAnswer, type Representation } from "./published-request.ts";

export interface PublishedParts {
  readonly folder: BlobFolder;
  readonly memory: ObjectMemory;
  readonly fetcher: Pick<BlobFetcher, "ensure">;
  readonly events: { blobDamaged(digest: Digest): void };
}

/** How an object got here. */
type Origin = Extract<CacheOutcome, "hit" | "uri-miss">;

/** RFC 9211's words. */
const STATUS_OF = { hit: "Perigee; hit", "uri-miss": "Perigee; fwd=uri-miss; stored" } as const satisfies Record<
  Origin,
  string
>;

export interface PublishedExchange {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly content: PublishedContent;
  readonly release: ActiveRelease;
}

/** Resolves to how the object that was sent got here, where one was. */
export async function servePublished(
  parts: PublishedParts,
  exchange: PublishedExchange,
): Promise<CacheOutcome | undefined> {
  const { incoming, content, release } = exchange;
  const { method = "GET", url: target = "" } = incoming;
  const request = { method, target, fields: fieldsOf(incoming.rawHeaders) };
  const decide = (fields: Fields) => decidePublished({ ...request, fields }, content, release.manifest);
  const plain = () => decide(withoutField(request.fields, "accept-encoding"));
  try {
    return await sendWhatIsHere(parts, exchange, decide(request.fields), plain);
  } catch (error) {
    if (!isFailure(error)) throw error;
    if (exchange.response.headersSent) exchange.response.destroy();
    else sendProblem(exchange.response, error, { status: 503 });
    return undefined;
  }
}

/** Cut off, the content itself may be here where its encoding is not. */
async function sendWhatIsHere(
  parts: PublishedParts,
  exchange: PublishedExchange,
  answer: PublishedAnswer,
  plain: () => PublishedAnswer,
): Promise<CacheOutcome | undefined> {
  try {
    return await send(parts, exchange, answer);
  } catch (error) {
    const isEncoded = "file" in answer && answer.file.coding !== undefined;
    if (!isEncoded || !isFailure(error) || exchange.response.headersSent) throw error;
  }
  return await send(parts, exchange, plain());
}

function withoutField(fields: Fields, name: string): Fields {
  return new Map([...fields].filter(([other]) => other !== name));
}

async function send(
  parts: PublishedParts,
  exchange: PublishedExchange,
  answer: PublishedAnswer,
): Promise<CacheOutcome | undefined> {
  const { response } = exchange;
  switch (answer.kind) {
    case "file":
      return await sendBytes(parts, exchange, answer.file, { status: answer.status });
    case "part": {
      const { file, range } = answer;
      return await sendBytes(parts, exchange, file, { status: 206, range });
    }
    case "unsatisfiable":
      response.writeHead(416, {
        ...fieldsFor(answer.file, "hit"),
        "content-range": `bytes */${answer.file.sizeBytes}`,
        "content-length": 0,
      });
      response.end();
      return "hit";
    case "not-modified":
      response.writeHead(304, fieldsFor(answer.file, "hit")).end();
      return "hit";
    default:
      sendElsewise(response, answer);
      return undefined;
  }
}

/** What is said without a file. */
function sendElsewise(response: ServerResponse, answer: Exclude<PublishedAnswer, { readonly file: unknown }>): void {
  switch (answer.kind) {
    case "redirect":
      response.writeHead(301, { location: answer.location, "content-length": 0 }).end();
      return;
    case "precondition-failed":
      sendProblem(response, new Failure("resource-conflict", "If-Match names another content"), { status: 412 });
      return;
    case "not-found":
      sendProblem(response, new Failure("not-found", "the site has nothing at this path"));
      return;
    case "bad-target":
      sendProblem(response, new Failure("argument-invalid", "the target must be a path, percent-encoded"));
      return;
    case "method-not-allowed":
      response.setHeader("allow", "GET, HEAD");
      sendProblem(response, new Failure("argument-invalid", "published content is read by GET and HEAD"), {
        status: 405,
      });
  }
}

interface Sent {
  readonly status: 200 | 206 | 404;
  readonly range?: { readonly start: number; readonly end: number };
}

async function sendBytes(
  parts: PublishedParts,
  { incoming, response, release }: PublishedExchange,
  file: Representation,
  { status, range }: Sent,
): Promise<CacheOutcome> {
  const { start, end } = range ?? { start: 0, end: file.sizeBytes - 1 };
  const isWanted = incoming.method === "GET" && file.sizeBytes > 0;
  const held = isWanted
    ? await bytesOf(parts, release.manifest.site, file)
    : { from: "hit" as const, bytes: Buffer.alloc(0) };
  const fields = {
    ...fieldsFor(file, held.from),
    "content-length": end - start + 1,
    ...(range === undefined ? {} : { "content-range": `bytes ${start}-${end}/${file.sizeBytes}` }),
  };
  response.writeHead(status, fields);
  if (!isWanted) response.end();
  else if (held.bytes !== undefined) response.end(held.bytes.subarray(start, end + 1));
  else await stream(parts.folder.pathOf(file.digest), { start, end }, response);
  return held.from;
}

/** A reader that goes away is its own affair. */
async function stream(path: string, range: { start: number; end: number }, response: ServerResponse): Promise<void> {
  await pipeline(createReadStream(path, range), response).catch(() => response.destroy());
}

interface Held {
  readonly from: Origin;
  /** `undefined` for a large object: it is verified and read from its file. */
  readonly bytes: Uint8Array | undefined;
}

/** Brings what is missing or damaged; throws what the fetcher throws where it cannot. */
async function bytesOf(parts: PublishedParts, site: string, file: Representation): Promise<Held> {
  const { folder, memory, fetcher, events } = parts;
  const { digest, sizeBytes } = file;
  const kept = memory.get(digest);
  if (kept !== undefined) return { from: "hit", bytes: kept };
  const isSmall = memory.takes(sizeBytes);
  for (const from of ["hit", "uri-miss"] as const) {
    if (from !== "hit") await fetcher.ensure({ digest, sizeBytes, site });
    const wasHere = folder.has(digest);
    if (isSmall) {
      const bytes = await folder.read(digest);
      if (bytes !== undefined) {
        memory.put(digest, bytes);
        return { from, bytes };
      }
    } else if (await folder.verify(digest)) return { from, bytes: undefined };
    if (wasHere) events.blobDamaged(digest);
  }
  throw new Failure("digest-mismatch", `object ${digest} is damaged on this edge's disk`);
}

/** Of an answer that has a file's representation, or says that it is not modified. */
export function fieldsFor(file: Representation, from: Origin): Record<string, string> {
  return {
    "cache-control": "no-cache",
    ...file.fields,
    "content-type": file.mediaType,
    ...(file.coding === undefined ? {} : { "content-encoding": file.coding }),
    ...(file.isNegotiated ? { vary: varyOf(file) } : {}),
    etag: entityTagOf(file),
    "accept-ranges": "bytes",
    "cache-status": STATUS_OF[from],
  };
}

function varyOf({ fields = {} }: Representation): string {
  const own = fields["vary"];
  return own === undefined ? "Accept-Encoding" : `${own}, Accept-Encoding`;
}
