/** Asks for one path over keep-alive connections until a count is reached: sockets alone, so that it costs little. */
import { connect, type Socket } from "node:net";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    port: { type: "string" },
    path: { type: "string", default: "/" },
    connections: { type: "string", default: "64" },
    requests: { type: "string", default: "10000" },
  },
});
const port = Number(values.port);
const count = Number(values.requests);
const head = Buffer.from(`GET ${values.path} HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`);

let asked = 0;
let answered = 0;
const startedMs = performance.now();

/** The length of the first whole answer in `bytes`; `undefined` while it is not all there. */
function answerBytes(bytes: Buffer): number | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const text = bytes.toString("latin1", 0, headEnd);
  if (!text.startsWith("HTTP/1.1 200 ")) fail(`not a hit: ${text}`);
  const length = /\r\ncontent-length: (\d+)/i.exec(text)?.[1];
  if (length === undefined) fail(`an answer without a length: ${text}`);
  const whole = headEnd + 4 + Number(length);
  return bytes.byteLength < whole ? undefined : whole;
}

function ask(socket: Socket): void {
  if (asked >= count) return void socket.end();
  asked += 1;
  socket.write(head);
}

function fail(because: string): never {
  console.error(because);
  process.exit(1);
}

function open(): void {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let pending = Buffer.alloc(0);
  socket.on("connect", () => ask(socket));
  socket.on("data", (chunk) => {
    pending = pending.byteLength === 0 ? chunk : Buffer.concat([pending, chunk]);
    for (let bytes = answerBytes(pending); bytes !== undefined; bytes = answerBytes(pending)) {
      pending = pending.subarray(bytes);
      answered += 1;
      ask(socket);
    }
  });
  socket.on("close", () => {
    if (asked < count) fail("a connection was closed before the end");
  });
  socket.on("error", (error) => fail(error.message));
}

for (let index = 0; index < Number(values.connections); index += 1) open();
process.on("exit", () => {
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(JSON.stringify({ answered, seconds }));
  if (answered !== count) process.exitCode = 1;
});
