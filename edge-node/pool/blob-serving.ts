/** Answers siblings that ask for a blob: from the disk, or along with what arrives, which is fetched for them if need be. */
import { createReadStream } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { Digest } from "#domain/content/release.ts";
import { isFailure } from "#domain/failure.ts";
import { fieldsOf } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import type { BlobFetcher } from "../prefetch/blob-fetcher.ts";
import type { ArrivingBlob } from "../published/arriving-blob.ts";
import type { BlobFolder } from "../published/blob-folder.ts";
import { BLOB_FIELD, type BlobPart, formatContentRange, parseBlobPart } from "./blob-fields.ts";

/** Parts under way to siblings; each holds 64 KiB and a file. */
export const BLOB_PARTS_SENT_MAX = 32;
/** Siblings that wait for a first byte; each holds a connection. */
export const BLOB_PARTS_AWAITED_MAX = 256;
/** Said to a sibling that found no place: a part of those under way takes about so long on a busy machine. */
const RETRY_AFTER_SECONDS = 1;
/** For a first byte that is still to come: after it the place is free for others, and the sibling asks again. */
export const BLOB_PART_WAIT_MS_MAX = 5_000;
/** A sibling that takes nothing of a part for so long is gone. */
export const BLOB_PART_SEND_MS_MAX = 60_000;

export interface BlobServingParts {
  readonly folder: BlobFolder;
  readonly fetcher: BlobFetcher;
  /** Of a blob that this node is to have by its own set; `undefined` of any other: nobody makes it fetch that. */
  readonly sizeWanted: (digest: Digest) => number | undefined;
  readonly clock: Clock;
  readonly events: { sentToSibling(bytes: number): void; refusedSibling(status: number): void };
}

interface Asking {
  readonly response: ServerResponse;
  readonly asker: string;
}

export class BlobServing {
  readonly #parts: BlobServingParts;
  #sent = 0;
  #awaited = 0;

  constructor(parts: BlobServingParts) {
    this.#parts = parts;
  }

  /** Who asks is an edge of this pool. */
  async answer(incoming: IncomingMessage, response: ServerResponse, asker: string): Promise<void> {
    this.#parts.fetcher.heard(asker);
    const part = parseBlobPart(incoming.url ?? "", fieldsOf(incoming.rawHeaders));
    if (incoming.method !== "GET" || part === undefined) return this.#refuse(response, 400);
    const { folder, fetcher, sizeWanted } = this.#parts;
    const to = { response, asker };
    const held = (await folder.verify(part.digest)) ? folder.sizeOf(part.digest) : undefined;
    if (held !== undefined) return await this.#sendWhole(part, held, to);
    if (part.mode === "held") return await this.#sendBeginning(part, fetcher.arriving(part.digest), to);
    const sizeBytes = part.mode === "fetch" ? sizeWanted(part.digest) : undefined;
    if (sizeBytes === undefined) return this.#refuse(response, 404);
    if (part.end >= sizeBytes) return this.#refuse(response, 416);
    await this.#sendAlong(part, sizeBytes, to);
  }

  async #sendWhole(part: BlobPart, sizeBytes: number, { response, asker }: Asking): Promise<void> {
    const { folder } = this.#parts;
    const { digest, start, end } = part;
    if (end >= sizeBytes) return this.#refuse(response, 416);
    await this.#send(part, { response, asker, sizeBytes, attempt: "whole" }, () =>
      createReadStream(folder.pathOf(digest), { start, end }),
    );
  }

  /** What has arrived by now: the asker has lost the one that fetched, and this node may wait for the asker. */
  async #sendBeginning(part: BlobPart, arriving: ArrivingBlob | undefined, { response, asker }: Asking): Promise<void> {
    if (arriving === undefined || arriving.readable <= part.start) return this.#refuse(response, 404);
    const { attempt, sizeBytes, readable } = arriving;
    if (part.end >= sizeBytes) return this.#refuse(response, 416);
    const beginning = { ...part, end: Math.min(part.end, readable - 1) };
    await this.#send(beginning, { response, asker, sizeBytes, attempt: `${attempt}` }, () =>
      arriving.read(beginning.start, beginning.end),
    );
  }

  async #sendAlong(part: BlobPart, sizeBytes: number, { response, asker }: Asking): Promise<void> {
    if (this.#awaited >= BLOB_PARTS_AWAITED_MAX) return this.#refuse(response, 503);
    const { digest, start, end } = part;
    // The asker knows by it that this node lives.
    response.writeProcessing();
    using _reading = this.#parts.fetcher.readBy(digest);
    const { arriving, done } = this.#parts.fetcher.beginAhead({ digest, sizeBytes });
    this.#awaited += 1;
    const outcome = await this.#untilReached(arriving, done, start).finally(() => {
      this.#awaited -= 1;
    });
    if (outcome === "late") return this.#refuse(response, 503, false);
    if (outcome === "failed") return this.#refuse(response, 502);
    await this.#send(part, { response, asker, sizeBytes, attempt: `${arriving.attempt}` }, () =>
      arriving.read(start, end),
    );
  }

  async #untilReached(
    arriving: ArrivingBlob,
    done: Promise<void>,
    start: number,
  ): Promise<"there" | "late" | "failed"> {
    const waited = Promise.withResolvers<"late">();
    using _limit = this.#parts.clock.timer(BLOB_PART_WAIT_MS_MAX, () => waited.resolve("late"));
    const failed = done.then(
      () => "there" as const,
      (error: unknown) => {
        if (!isFailure(error)) throw error;
        return error.code === "overloaded" ? ("late" as const) : ("failed" as const);
      },
    );
    const reached = arriving.reaches(start).then((isThere) => (isThere ? ("there" as const) : failed));
    return await Promise.race([reached, failed, waited.promise]);
  }

  async #send(
    part: BlobPart,
    to: Asking & { readonly sizeBytes: number; readonly attempt: string },
    read: () => AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const { response, sizeBytes, attempt } = to;
    if (this.#sent >= BLOB_PARTS_SENT_MAX) return this.#refuse(response, 503);
    response.writeHead(206, {
      [BLOB_FIELD]: attempt,
      "content-range": formatContentRange(part, sizeBytes),
      "content-type": "application/octet-stream",
      "content-length": part.end + 1 - part.start,
    });
    using _limit = this.#parts.clock.timer(BLOB_PART_SEND_MS_MAX, () => response.destroy());
    // Whatever breaks here ends the connection: by the length the asker sees that it is not all.
    this.#sent += 1;
    await pipeline(() => this.#told(part, to.asker, read()), response)
      .then(
        () => this.#parts.events.sentToSibling(part.end + 1 - part.start),
        () => response.destroy(),
      )
      .finally(() => {
        this.#sent -= 1;
      });
  }

  /** As the asker takes it: what is handed to the system comes to it even if this process ends. */
  async *#told({ digest, start }: BlobPart, asker: string, bytes: AsyncIterable<Uint8Array>) {
    let at = start;
    for await (const chunk of bytes) {
      yield chunk;
      at += chunk.byteLength;
      this.#parts.fetcher.sent(asker, digest, at);
    }
  }

  #refuse(response: ServerResponse, status: number, isFull = status === 503): void {
    this.#parts.events.refusedSibling(status);
    const retryAfter = isFull ? { "retry-after": `${RETRY_AFTER_SECONDS}` } : {};
    response.writeHead(status, { "content-length": "0", ...retryAfter }).end();
  }
}
