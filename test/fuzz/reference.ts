/** What node:http makes of bytes, without sockets: the requests that it takes them for, or that it takes them for none. */
import { createServer, type Server } from "node:http";
import { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { fieldsOf } from "#domain/http/fields.ts";

export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  /** Names in lower case with their values, in the order of their coming. */
  readonly fields: string;
}

/** A parser that is done is done within so many turns of the event loop. */
const TURNS_MAX = 20;

export function shownFields(fields: Iterable<readonly [string, readonly string[]]>): string {
  return JSON.stringify([...fields]);
}

class Wire extends Duplex {
  override _read(): void {}

  override _write(_chunk: unknown, _encoding: BufferEncoding, done: () => void): void {
    done();
  }
}

export class Reference {
  readonly #server: Server;
  #seen: SeenRequest[] = [];
  #isRefused = false;

  constructor() {
    const strictness = { insecureHTTPParser: false, requireHostHeader: true, maxHeaderSize: 16 * 1024 };
    this.#server = createServer({ ...strictness, keepAliveTimeout: 0 }, (incoming, response) => {
      const { method = "", url = "", rawHeaders } = incoming;
      this.#seen.push({ method, target: url, fields: shownFields(fieldsOf(rawHeaders)) });
      response.end();
    });
    this.#server.maxHeadersCount = 0;
    this.#server.on("clientError", (_error, socket) => {
      this.#isRefused = true;
      socket.destroy();
    });
  }

  /** Until so many were seen, or no more come; `undefined` where it has refused. */
  async read(bytes: Buffer, wanted: number): Promise<readonly SeenRequest[] | undefined> {
    this.#seen = [];
    this.#isRefused = false;
    const wire = new Wire();
    wire.on("error", () => {});
    this.#server.emit("connection", wire);
    wire.push(bytes);
    for (let turns = 0; turns < TURNS_MAX && this.#seen.length < wanted && !this.#isRefused; turns += 1) await turn();
    wire.destroy();
    await turn();
    return this.#isRefused ? undefined : this.#seen;
  }
}
