/** An HTTP/2 client that writes whatever frames it is told to (RFC 9113 section 4.1), and notes what comes back. */
import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const;
export const END_STREAM = 0x1;
export const END_HEADERS = 0x4;
const HEAD_BYTES = 9;
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export interface Frame {
  readonly type: number;
  readonly flags?: number;
  readonly stream?: number;
  readonly payload?: Uint8Array;
}

export function frameBytes({ type, flags = 0, stream = 0, payload = Buffer.alloc(0) }: Frame): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUIntBE(payload.byteLength, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Literal fields that are not indexed, without Huffman coding (RFC 7541 section 6.2.2). */
export function fieldBlock(fields: readonly (readonly [string, string])[]): Buffer {
  const text = (value: string) => Buffer.concat([integer(Buffer.byteLength(value)), Buffer.from(value)]);
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

/** RFC 7541 section 5.1 with a prefix of 7 bits. */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.from([value]);
  const bytes = [127];
  for (let rest = value - 127; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

export function requestBlock(path: string, more: readonly (readonly [string, string])[] = []): Buffer {
  return fieldBlock([[":method", "GET"], [":scheme", "https"], [":path", path], [":authority", "a.example"], ...more]);
}

export function settingsFrame(entries: readonly (readonly [number, number])[]): Buffer {
  const payload = Buffer.alloc(entries.length * 6);
  entries.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  });
  return frameBytes({ type: FRAME.settings, payload });
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export interface Received {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export class RawH2Client {
  readonly socket: TLSSocket;
  readonly frames: Received[] = [];
  #rest = Buffer.alloc(0);
  #isClosed = false;

  readonly #acknowledges: boolean;

  private constructor(socket: TLSSocket, acknowledges: boolean) {
    this.socket = socket;
    this.#acknowledges = acknowledges;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#isClosed = true;
    });
  }

  static async open(
    port: number,
    settings: readonly (readonly [number, number])[] = [],
    { acknowledges = true }: { readonly acknowledges?: boolean } = {},
  ): Promise<RawH2Client> {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
    await once(socket, "secureConnect");
    const client = new RawH2Client(socket, acknowledges);
    socket.write(Buffer.concat([PREFACE, settingsFrame(settings)]));
    return client;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  send(...frames: readonly Buffer[]): void {
    if (!this.#isClosed) this.socket.write(frames.length === 1 ? (frames[0] ?? "") : Buffer.concat(frames));
  }

  /** A request without content. */
  ask(stream: number, path: string): void {
    const payload = requestBlock(path);
    this.send(frameBytes({ type: FRAME.headers, flags: END_HEADERS + END_STREAM, stream, payload }));
  }

  /** The error code of the last GOAWAY (RFC 9113 section 6.8). */
  get goaway(): number | undefined {
    const last = this.frames.findLast(({ type }) => type === FRAME.goaway);
    return last?.payload.readUInt32BE(4);
  }

  /** Error codes of streams that were reset. */
  get resets(): number[] {
    return this.frames.filter(({ type }) => type === FRAME.reset).map(({ payload }) => payload.readUInt32BE(0));
  }

  #onData(chunk: Buffer): void {
    let bytes = this.#rest.byteLength === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.byteLength >= HEAD_BYTES) {
      const end = HEAD_BYTES + bytes.readUIntBE(0, 3);
      if (bytes.byteLength < end) break;
      const payload = bytes.subarray(HEAD_BYTES, end);
      const [type = 0, flags = 0] = bytes.subarray(3, 5);
      this.frames.push({ type, flags, stream: bytes.readUInt32BE(5), payload });
      if (this.#acknowledges && type === FRAME.settings && flags === 0) this.send(frameBytes({ type, flags: 1 }));
      bytes = bytes.subarray(end);
    }
    this.#rest = Buffer.from(bytes);
  }
}
