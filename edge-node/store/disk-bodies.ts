/** Reads stored bodies: verified as a whole before the first byte where they are not very large, else slice by slice. */
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import { openBody, readBody } from "./body-file.ts";
import type { IndexedResponse } from "./disk-row.ts";
import type { FileBody, OpenBody } from "./stored-response.ts";

/** Read to the end before it is answered with, once in a process: tens of milliseconds. */
export const VERIFIED_AHEAD_BYTES_MAX = 32 * 1024 * 1024;
/** Files that are known to be whole; others are read once more. */
const VERIFIED_FILES_MAX = 16_384;

export interface DiskBodiesOptions {
  readonly pathOf: (file: string) => string;
  readonly onLost: (row: IndexedResponse, error: unknown) => void;
}

export class DiskBodies {
  readonly #options: DiskBodiesOptions;
  readonly #verified = new BoundedMap<string, true>({ entriesMax: VERIFIED_FILES_MAX });

  constructor(options: DiskBodiesOptions) {
    this.#options = options;
  }

  /** The whole body, verified; `undefined` where it is not what was stored. */
  async read(row: IndexedResponse): Promise<Uint8Array | undefined> {
    try {
      return await readBody(this.#options.pathOf(row.file), row);
    } catch (error) {
      this.#options.onLost(row, error);
      return undefined;
    }
  }

  fileBodyOf(row: IndexedResponse): FileBody {
    return { file: row.file, byteLength: row.bodyBytes, open: () => this.#open(row) };
  }

  async #open(row: IndexedResponse): Promise<OpenBody | undefined> {
    try {
      const body = await openBody(this.#options.pathOf(row.file), row);
      await this.#verify(row, body);
      return this.#reporting(row, body);
    } catch (error) {
      this.#options.onLost(row, error);
      return undefined;
    }
  }

  async #verify({ file, bodyBytes }: IndexedResponse, body: OpenBody): Promise<void> {
    if (bodyBytes > VERIFIED_AHEAD_BYTES_MAX || this.#verified.get(file) === true) return;
    try {
      for await (const _ of body.read(0, bodyBytes - 1));
      this.#verified.set(file, true);
    } catch (error) {
      await body[Symbol.asyncDispose]();
      throw error;
    }
  }

  #reporting(row: IndexedResponse, body: OpenBody): OpenBody {
    const { onLost } = this.#options;
    return {
      async *read(start: number, last: number) {
        try {
          yield* body.read(start, last);
        } catch (error) {
          onLost(row, error);
          throw error;
        }
      },
      [Symbol.asyncDispose]: () => body[Symbol.asyncDispose](),
    };
  }
}
