/** A connection on which any bytes are sent, and answers are cut apart as they came. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const HEAD_END = Buffer.from("\r\n\r\n");
const LAST_CHUNK = Buffer.from("\r\n0\r\n\r\n");

export class RawConnection implements Disposable {
  readonly socket: Socket;
  #bytes = Buffer.alloc(0);
  #isClosed = false;
  #changed = Promise.withResolvers<void>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.#change(Buffer.concat([this.#bytes, chunk])));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#isClosed = true;
      this.#change(this.#bytes);
    });
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** The next whole answer, as it came; rejects where the connection is closed before its end. */
  async answer(asked: { readonly isHead?: boolean } = {}): Promise<Buffer> {
    for (;;) {
      const end = answerEnd(this.#bytes, asked.isHead === true);
      if (end !== undefined) {
        const answer = this.#bytes.subarray(0, end);
        this.#bytes = this.#bytes.subarray(end);
        return answer;
      }
      if (this.#isClosed) throw new Error(`closed after ${JSON.stringify(this.#bytes.toString("latin1"))}`);
      await this.#changed.promise;
    }
  }

  /** All that comes until the connection is closed. */
  async rest(): Promise<string> {
    while (!this.#isClosed) await this.#changed.promise;
    return this.#bytes.toString("latin1");
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #change(bytes: Buffer): void {
    this.#bytes = Buffer.from(bytes);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

function answerEnd(bytes: Buffer, isHead: boolean): number | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const head = bytes.toString("latin1", 0, headEnd);
  const start = headEnd + HEAD_END.byteLength;
  if (isHead || /^HTTP\/1\.1 (?:1\d\d|204|304) /.test(head)) return start;
  if (/\r\ntransfer-encoding: chunked/i.test(head)) {
    const last = bytes.indexOf(LAST_CHUNK, headEnd + 2);
    return last < 0 ? undefined : last + LAST_CHUNK.byteLength;
  }
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
  return bytes.byteLength < start + length ? undefined : start + length;
}

export async function openRaw(port: number): Promise<RawConnection> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const connection = new RawConnection(socket);
  await once(socket, "connect");
  return connection;
}
