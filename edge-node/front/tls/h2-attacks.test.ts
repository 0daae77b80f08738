import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect as connectH2 } from "node:http2";
import t, { type Test } from "tap";
import { systemRandom } from "#platform/random.ts";
import { until } from "#test/simulation/until.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { createTestAuthority } from "#test/tls/certificates.ts";
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  fieldBlock,
  frameBytes,
  RawH2Client,
  requestBlock,
  settingsFrame,
  uint32,
} from "#test/tls/h2-frames.ts";
import { Certificates } from "./certificates.ts";
import { startTlsListener } from "./tls-listener.ts";

const NOW_MS = Date.UTC(2026, 10, 26);
/** RFC 9113 section 7. */
const ENHANCE_YOUR_CALM = 11;
const REFUSED_STREAM = 7;
const LARGE = Buffer.alloc(1024 * 1024, "x");

async function start(t: Test, answer = answerByPath) {
  const clock = new VirtualClock(NOW_MS);
  const refused: string[] = [];
  const none = () => {};
  const events = {
    ...{ certificateInForce: none, certificateRefused: none, certificateRemoved: none, certificateRemaining: none },
    ...{ handshakeDone: none, handshakeFailed: none, connectionRefused: none, malformed: none },
    h2Refused: (because: string) => void refused.push(because),
  };
  const certificates = new Certificates({ clock, events });
  const authority = await createTestAuthority(NOW_MS);
  certificates.offer("a", await authority.issue(["a.example"]));
  const http = createServer(answer);
  const listener = await startTlsListener({
    address: { host: "127.0.0.1", port: 0 },
    certificates,
    serveHttp1: (socket) => http.emit("connection", socket),
    handle: answer,
    events,
    clock,
    random: systemRandom,
  });
  t.teardown(() => listener[Symbol.asyncDispose]());
  return { clock, refused, port: listener.address.port };
}

function answerByPath(incoming: IncomingMessage, response: ServerResponse): void {
  if (incoming.url === "/never") return;
  if (incoming.method === "POST") {
    incoming.resume().on("end", () => response.end("taken"));
    return;
  }
  response.end(incoming.url === "/large" ? LARGE : "hello");
}

/** Asks one request after the other until it is stopped; resolves with how many were answered, rejects where one fails. */
function visit(t: Test, port: number) {
  const session = connectH2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  t.teardown(() => session.destroy());
  let isOver = false;
  let answered = 0;
  const ask = () =>
    new Promise<void>((resolve, reject) => {
      const request = session.request({ ":path": "/hello", ":authority": "a.example" });
      let content = "";
      request.setEncoding("utf8").on("data", (chunk) => {
        content += chunk;
      });
      request.on("error", reject);
      request.on("close", () => (content === "hello" ? resolve() : reject(new Error(`got "${content}"`))));
    });
  const turns = (async () => {
    while (!isOver) {
      await ask();
      answered += 1;
    }
    return answered;
  })();
  turns.catch(() => {});
  return {
    get answered() {
      return answered;
    },
    end() {
      isOver = true;
      return turns;
    },
  };
}

type Attack = (client: RawH2Client, clock: VirtualClock) => Promise<void> | void;

/** An attack's own bytes are written in pieces, so that it goes on while others are served. */
async function flood(client: RawH2Client, clock: VirtualClock, times: number, frames: (index: number) => Buffer[]) {
  const PIECE = 500;
  for (let index = 0; index < times && !client.isClosed; index += PIECE) {
    const piece = Array.from({ length: Math.min(PIECE, times - index) }, (_, offset) => frames(index + offset));
    client.send(...piece.flat());
    await clock.advance(1_000 / 50);
  }
}

const ATTACKS: Record<string, Attack> = {
  "rapid reset": (client, clock) =>
    flood(client, clock, 20_000, (index) => {
      const stream = 2 * index + 1;
      const payload = requestBlock("/never");
      return [
        frameBytes({ type: FRAME.headers, flags: END_HEADERS + END_STREAM, stream, payload }),
        frameBytes({ type: FRAME.reset, stream, payload: uint32(8) }),
      ];
    }),
  "resets that the server is made to send": (client, clock) =>
    flood(client, clock, 20_000, (index) => {
      const stream = 2 * index + 1;
      const payload = requestBlock("/never");
      return [
        frameBytes({ type: FRAME.headers, flags: END_HEADERS, stream, payload }),
        frameBytes({ type: FRAME.window, stream, payload: uint32(0) }),
      ];
    }),
  "continuation flood": async (client, clock) => {
    client.send(frameBytes({ type: FRAME.headers, flags: END_STREAM, stream: 1, payload: requestBlock("/hello") }));
    const payload = fieldBlock([["x-padding", "x".repeat(50)]]);
    await flood(client, clock, 20_000, () => [frameBytes({ type: FRAME.continuation, stream: 1, payload })]);
  },
  "continuation flood of empty frames": async (client, clock) => {
    client.send(frameBytes({ type: FRAME.headers, stream: 1, payload: requestBlock("/hello") }));
    await flood(client, clock, 20_000, () => [frameBytes({ type: FRAME.continuation, stream: 1 })]);
  },
  "ping flood": (client, clock) =>
    flood(client, clock, 20_000, () => [frameBytes({ type: FRAME.ping, payload: Buffer.alloc(8) })]),
  "settings flood": (client, clock) => flood(client, clock, 20_000, () => [settingsFrame([[4, 65_535]])]),
  "window flood": (client, clock) =>
    flood(client, clock, 100_000, () => [frameBytes({ type: FRAME.window, payload: uint32(1) })]),
  "window overflow": (client) =>
    client.send(
      frameBytes({ type: FRAME.window, payload: uint32(0x7f_ff_ff_ff) }),
      frameBytes({ type: FRAME.window, payload: uint32(0x7f_ff_ff_ff) }),
    ),
  "priority flood": (client, clock) =>
    flood(client, clock, 100_000, (index) => {
      const payload = Buffer.concat([uint32(0), Buffer.from([1])]);
      return [frameBytes({ type: FRAME.priority, stream: 2 * (index % 1_000) + 1, payload })];
    }),
  "flood of empty content": async (client, clock) => {
    const block = fieldBlock([
      [":method", "POST"],
      [":scheme", "https"],
      [":path", "/hello"],
      [":authority", "a.example"],
    ]);
    client.send(frameBytes({ type: FRAME.headers, flags: END_HEADERS, stream: 1, payload: block }));
    await flood(client, clock, 100_000, () => [frameBytes({ type: FRAME.data, stream: 1 })]);
  },
  "flood of unknown frames": (client, clock) =>
    flood(client, clock, 100_000, () => [frameBytes({ type: 0x42, payload: Buffer.alloc(16) })]),
  "streams beyond the limit": (client, clock) =>
    flood(client, clock, 2_000, (index) => {
      const payload = requestBlock("/never");
      return [frameBytes({ type: FRAME.headers, flags: END_HEADERS + END_STREAM, stream: 2 * index + 1, payload })];
    }),
  "no preface": (client) => client.send(Buffer.alloc(64, 0xff)),
};

t.test("a client that attacks is ended, and another is served all the while", async (t) => {
  for (const [name, attack] of Object.entries(ATTACKS)) {
    await t.test(name, async (t) => {
      const { port, clock, refused } = await start(t);
      const visitor = visit(t, port);
      await until(() => visitor.answered > 5, "the visitor is served");
      const client = await RawH2Client.open(port);
      t.teardown(() => client.socket.destroy());
      await attack(client, clock);
      await clock.advance(2_000);
      await until(() => client.isClosed, "the attacker is closed");
      const before = visitor.answered;
      await until(() => visitor.answered > before + 20, "the visitor is served still");
      const answered = await visitor.end();
      t.ok(answered > 25, `${answered} requests of the visitor were answered, none failed`);
      t.ok(refused.length > 0 || client.goaway !== undefined, `${refused.join()} GOAWAY ${client.goaway}`);
      t.comment(`${refused[0] ?? "ended"}, GOAWAY ${client.goaway}`);
    });
  }
});

t.test("floods of small frames are told to calm down", async (t) => {
  for (const name of ["ping flood", "settings flood", "window flood", "priority flood"]) {
    const { port, clock, refused } = await start(t);
    const client = await RawH2Client.open(port);
    await ATTACKS[name]?.(client, clock);
    await clock.advance(2_000);
    await until(() => client.isClosed, "it is closed");
    t.same([client.goaway, refused.length], [ENHANCE_YOUR_CALM, 1], `${name}: ${refused[0]}`);
  }
});

t.test("at most 128 streams are open at once, further ones are refused and the connection goes on", async (t) => {
  const { port } = await start(t);
  const client = await RawH2Client.open(port);
  t.teardown(() => client.socket.destroy());
  for (let index = 0; index < 140; index += 1) client.ask(2 * index + 1, "/never");
  await until(() => client.resets.length === 12, "twelve are refused");
  t.ok(client.resets.every((code) => code === REFUSED_STREAM));
  client.send(frameBytes({ type: FRAME.reset, stream: 1, payload: uint32(8) }));
  const answerTo = (stream: number) => client.frames.findLast((frame) => frame.stream === stream);
  // Node counts the stream that was reset for a turn or two more.
  let next = 301;
  for (; answerTo(next)?.type !== FRAME.data && next < 341; next += 2) {
    client.ask(next + 2, "/hello");
    await until(() => answerTo(next + 2) !== undefined, "an answer comes");
  }
  t.equal(answerTo(next)?.payload.toString(), "hello", "then the next is served");
});

t.test("a head beyond 16 KiB or 100 fields is refused, the connection goes on", async (t) => {
  const { port } = await start(t);
  const client = await RawH2Client.open(port);
  t.teardown(() => client.socket.destroy());
  const send = (stream: number, payload: Buffer) =>
    client.send(frameBytes({ type: FRAME.headers, flags: END_HEADERS + END_STREAM, stream, payload }));
  const has = (stream: number, type: number) =>
    client.frames.some((frame) => frame.stream === stream && frame.type === type);
  send(1, requestBlock("/hello", [["x-a", "a".repeat(15_000)]]));
  await until(() => has(1, FRAME.data), "15,000 bytes are served");
  const parts = requestBlock("/hello", [["x-a", "a".repeat(16_300)]]);
  client.send(
    frameBytes({ type: FRAME.headers, flags: END_STREAM, stream: 3, payload: parts.subarray(0, 10_000) }),
    frameBytes({ type: FRAME.continuation, flags: END_HEADERS, stream: 3, payload: parts.subarray(10_000) }),
  );
  await until(() => has(3, FRAME.reset), "16,300 are not").catch((e) => {
    console.error(client.frames, client.isClosed);
    throw e;
  });
  send(
    5,
    requestBlock(
      "/hello",
      Array.from({ length: 90 }, (_, index) => [`x-${index}`, "a"] as const),
    ),
  );
  await until(() => has(5, FRAME.data), "94 fields are served");
  send(
    7,
    requestBlock(
      "/hello",
      Array.from({ length: 100 }, (_, index) => [`x-${index}`, "a"] as const),
    ),
  );
  await until(() => has(7, FRAME.reset), "104 are not");
  client.ask(9, "/hello");
  await until(() => has(9, FRAME.data), "the next request is served");
  t.ok(client.resets.every((code) => code === ENHANCE_YOUR_CALM));
});

t.test("a client that never acknowledges the limit on heads is held to it as well", async (t) => {
  const { port } = await start(t);
  const client = await RawH2Client.open(port, [], { acknowledges: false });
  t.teardown(() => client.socket.destroy());
  const parts = requestBlock("/hello", [["x-a", "a".repeat(20_000)]]);
  client.send(
    frameBytes({ type: FRAME.headers, flags: END_STREAM, stream: 1, payload: parts.subarray(0, 10_000) }),
    frameBytes({ type: FRAME.continuation, flags: END_HEADERS, stream: 1, payload: parts.subarray(10_000) }),
  );
  await until(() => client.frames.some(({ type }) => type === FRAME.data), "a problem comes");
  t.match(client.frames.find(({ type }) => type === FRAME.data)?.payload.toString(), '"status":431');
});

t.test("who opens no window or announces content that never comes loses the stream after 60 s", async (t) => {
  const { port, clock, refused } = await start(t);
  const noWindow = [[4, 0]] as const;
  const reader = await RawH2Client.open(port, noWindow);
  const writer = await RawH2Client.open(port);
  t.teardown(() => reader.socket.destroy());
  t.teardown(() => writer.socket.destroy());
  const STREAMS = 20;
  for (let index = 0; index < STREAMS; index += 1) reader.ask(2 * index + 1, "/large");
  const block = fieldBlock([
    [":method", "POST"],
    [":scheme", "https"],
    [":path", "/hello"],
    [":authority", "a.example"],
    ["content-length", "10"],
  ]);
  writer.send(frameBytes({ type: FRAME.headers, flags: END_HEADERS, stream: 1, payload: block }));
  writer.send(frameBytes({ type: FRAME.data, stream: 1, payload: Buffer.alloc(5) }));
  const isHead = ({ type }: { type: number }) => type === FRAME.headers;
  await until(() => reader.frames.filter(isHead).length === STREAMS, "the heads have come");
  await clock.advance(55_000);
  t.same([reader.resets, writer.resets, refused], [[], [], []], "not before");
  for (const stream of [0, 1]) reader.send(frameBytes({ type: FRAME.window, stream, payload: uint32(100_000) }));
  await until(
    () => reader.frames.some(({ type }) => type === FRAME.data),
    "who goes on, however slowly, keeps its stream",
  );
  await clock.advance(10_000);
  await until(() => reader.resets.length === STREAMS - 1 && writer.resets.length === 1, "all others are reset");
  t.ok([...reader.resets, ...writer.resets].every((code) => code === ENHANCE_YOUR_CALM));
  t.same(new Set(refused), new Set(["slow-reader", "slow-request"]));
  t.notOk(reader.isClosed);
  await clock.advance(60_000);
  await until(() => reader.resets.length === STREAMS, "then that one too");
});

t.test("a connection without requests is told to go after 60 s, pings or not", async (t) => {
  const { port, clock, refused } = await start(t);
  const client = await RawH2Client.open(port);
  client.ask(1, "/hello");
  await until(() => client.frames.some(({ type }) => type === FRAME.data), "it is served");
  for (let seconds = 0; seconds < 65; seconds += 5) {
    client.send(frameBytes({ type: FRAME.ping, payload: Buffer.alloc(8) }));
    await clock.advance(5_000);
  }
  await until(() => client.isClosed, "it is closed");
  t.same([client.goaway, refused], [0, []]);
});
