/**
 * Asks for one path over keep-alive connections until a count is reached: sockets alone, so that it costs little. An answer
 * that comes in one piece, as long as the one before, is looked at where its status and the end of its head must be.
 */
import { connect, type OnReadOpts, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    port: { type: "string" },
    path: { type: "string", default: "/" },
    connections: { type: "string", default: "64" },
    requests: { type: "string", default: "10000" },
    /** What each answer must have. */
    status: { type: "string", default: "200" },
    "if-none-match": { type: "string" },
    tls: { type: "boolean", default: false },
  },
});
const port = Number(values.port);
const count = Number(values.requests);
const condition = values["if-none-match"] === undefined ? [] : [`If-None-Match: ${values["if-none-match"]}`];
const lines = [`GET ${values.path} HTTP/1.1`, `Host: localhost:${port}`, "User-Agent: load", ...condition, "", ""];
const request = Buffer.from(lines.join("\r\n"));
const begin = Buffer.from(`HTTP/1.1 ${values.status} `);
const headEndMark = Buffer.from("\r\n\r\n");
const READ_BYTES = 256 * 1024;

let asked = 0;
let answered = 0;
const startedMs = performance.now();

interface Answer {
  readonly headBytes: number;
  readonly bytes: number;
}

/** `undefined` while the head is not all there. */
function readAnswer(bytes: Uint8Array): Answer | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headEnd = text.indexOf(headEndMark);
  if (headEnd < 0) return undefined;
  const head = text.toString("latin1", 0, headEnd);
  if (!text.subarray(0, begin.byteLength).equals(begin)) fail(`not what was wanted: ${head}`);
  const length = values.status === "304" ? "0" : /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length === undefined) fail(`an answer without a length: ${head}`);
  const headBytes = headEnd + headEndMark.byteLength;
  return { headBytes, bytes: headBytes + Number(length) };
}

function isLike(before: Answer, bytes: Uint8Array): boolean {
  if (bytes.byteLength !== before.bytes) return false;
  for (let index = 0; index < begin.byteLength; index += 1) if (bytes[index] !== begin[index]) return false;
  const end = before.headBytes;
  return bytes[end - 4] === 13 && bytes[end - 3] === 10 && bytes[end - 2] === 13 && bytes[end - 1] === 10;
}

function fail(because: string): never {
  console.error(because);
  process.exit(1);
}

let before: Answer = { headBytes: 4, bytes: -1 };

/** What has come of one connection's answer. */
class Answering {
  #part: Buffer | undefined;
  #missing = 0;

  /** Whether the answer is whole now. */
  take(bytes: Uint8Array): boolean {
    if (this.#missing > 0) {
      this.#missing -= bytes.byteLength;
      if (this.#missing < 0) fail("more came than was asked for");
      return this.#missing === 0;
    }
    if (this.#part === undefined && isLike(before, bytes)) return true;
    const all = this.#part === undefined ? bytes : Buffer.concat([this.#part, bytes]);
    const answer = readAnswer(all);
    this.#part = answer === undefined ? Buffer.from(all) : undefined;
    if (answer === undefined) return false;
    before = answer;
    this.#missing = answer.bytes - all.byteLength;
    if (this.#missing < 0) fail("more came than was asked for");
    return this.#missing === 0;
  }
}

function ask(socket: Socket): void {
  if (asked >= count) {
    socket.end();
    return;
  }
  asked += 1;
  socket.write(request);
}

function open(): void {
  const answering = new Answering();
  const take = (bytes: Uint8Array): void => {
    if (!answering.take(bytes)) return;
    answered += 1;
    ask(socket);
  };
  const onread: OnReadOpts = {
    buffer: shared,
    callback(bytesRead, buffer) {
      take(buffer.subarray(0, bytesRead));
      return true;
    },
  };
  const to = { port, host: "127.0.0.1" };
  const socket = values.tls
    ? connectTls({ ...to, rejectUnauthorized: false }).on("data", take)
    : connect({ ...to, noDelay: true, onread });
  socket.on(values.tls ? "secureConnect" : "connect", () => ask(socket));
  socket.on("close", () => {
    if (asked < count) fail("a connection was closed before the end");
  });
  socket.on("error", (error) => fail(error.message));
}

const shared = new Uint8Array(READ_BYTES);
for (let index = 0; index < Number(values.connections); index += 1) open();
process.on("exit", () => {
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(JSON.stringify({ answered, seconds }));
  if (answered !== count) process.exitCode = 1;
});
