import { randomFillSync } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import t, { type Test } from "tap";
import type { Address } from "#platform/address.ts";
import { type Clock, systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import {
  startTcpLink,
  TCP_LINK_IN_FLIGHT_BYTES_MAX,
  type TcpLink,
  type TcpLinkOptions,
} from "#platform/links/tcp-link.ts";
import { seededRandom } from "#platform/random.ts";
import { until } from "#test/simulation/until.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";

const ANY: Address = { host: "127.0.0.1", port: 0 };

interface Peer {
  readonly socket: Socket;
  text: string;
  ended: boolean;
  closed: boolean;
}

function watch(socket: Socket): Peer {
  const peer: Peer = { socket, text: "", ended: false, closed: false };
  socket.on("data", (bytes: Buffer) => {
    peer.text += bytes.toString("latin1");
  });
  socket.on("end", () => {
    peer.ended = true;
  });
  socket.on("close", () => {
    peer.closed = true;
  });
  socket.on("error", () => undefined);
  return peer;
}

/** A target that records what each of its connections receives, behind a link. */
async function setUp(t: Test, clock: Clock, path: Pick<TcpLinkOptions, "rttMs" | "lossRatio" | "rateBytesPerSecond">) {
  const accepted: Peer[] = [];
  const target = createServer({ allowHalfOpen: true }, (socket) => accepted.push(watch(socket)));
  const link: TcpLink = await startTcpLink({
    listen: ANY,
    target: await listen(target, ANY),
    clock,
    random: seededRandom(1),
    ...path,
  });
  const clients: Socket[] = [];
  t.teardown(async () => {
    for (const socket of clients) socket.destroy();
    await link[Symbol.asyncDispose]();
    for (const { socket } of accepted) socket.destroy();
    await closeServer(target);
  });
  const dial = async (): Promise<Peer> => {
    const socket = connect({ ...link.address, allowHalfOpen: true });
    clients.push(socket);
    const peer = watch(socket);
    await until(() => !socket.connecting, "the link answers");
    return peer;
  };
  return { link, accepted, dial };
}

t.test("bytes take a handshake and half a round trip there, half a round trip back", async (t) => {
  const clock = new VirtualClock();
  const { accepted, dial } = await setUp(t, clock, { rttMs: 60 });
  const client = await dial();
  client.socket.write("request");
  await until(() => clock.pendingTimers > 0, "the link has the connection");
  await clock.advance(29);
  t.equal(accepted.length, 0, "the handshake's first half is not over");
  await clock.advance(1);
  await until(() => accepted.length === 1, "the target has a connection");
  const server = accepted[0];
  if (server === undefined) throw new Error("no connection");
  await clock.advance(59);
  t.equal(server.text, "", "the request is under way");
  await clock.advance(1);
  await until(() => server.text === "request", "the request arrives");
  server.socket.write("answer");
  await until(() => clock.pendingTimers > 0, "the link has the answer");
  await clock.advance(29);
  t.equal(client.text, "");
  await clock.advance(1);
  await until(() => client.text === "answer", "the answer arrives");
});

t.test("a changed path holds for what sets out later, and nothing overtakes", async (t) => {
  const clock = new VirtualClock();
  const { link, accepted, dial } = await setUp(t, clock, { rttMs: 0 });
  const client = await dial();
  client.socket.write("a");
  await until(() => clock.pendingTimers > 0, "the link has the connection");
  await clock.advance(1);
  await until(() => accepted[0]?.text === "a", "the first byte arrives");
  link.set({ rttMs: 1_000 });
  client.socket.write("b");
  await until(() => clock.pendingTimers > 0, "the link has the second byte");
  link.set({ rttMs: 0 });
  client.socket.write("c");
  await clock.advance(499);
  t.equal(accepted[0]?.text, "a");
  await clock.advance(2);
  await until(() => accepted[0]?.text === "abc", "the third byte arrives after the second");
});

t.test("megabytes pass unchanged both ways in spite of loss, and an end is passed on", async (t) => {
  const { accepted, dial } = await setUp(t, systemClock, { rttMs: 2, lossRatio: 0.0005 });
  const client = await dial();
  const sent = randomFillSync(Buffer.alloc(3_000_000));
  client.socket.end(sent);
  await until(() => accepted[0]?.ended === true, "the target has read to the end");
  const server = accepted[0];
  t.ok(Buffer.from(server?.text ?? "", "latin1").equals(sent), "what arrived is what was sent");
  server?.socket.end(sent);
  await until(() => client.ended && client.closed, "the client has read to the end");
  t.ok(Buffer.from(client.text, "latin1").equals(sent), "what came back is what was sent");
});

t.test("a sender is held back while a window of bytes is in flight", async (t) => {
  const clock = new VirtualClock();
  const { accepted, dial } = await setUp(t, clock, { rttMs: 100 });
  const client = await dial();
  const chunk = Buffer.alloc(256 * 1024, "x");
  let taken = 0;
  const pump = (): void => {
    while (taken < 64 && client.socket.write(chunk, () => (taken += 1))) taken += 0;
  };
  client.socket.on("drain", pump);
  pump();
  await until(() => clock.pendingTimers > 0 && taken > 0, "bytes flow into the link");
  for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  const kernelBytesMax = 12 * 1024 * 1024;
  t.ok(taken * chunk.length < TCP_LINK_IN_FLIGHT_BYTES_MAX + kernelBytesMax, `${taken} chunks were taken`);
  client.socket.off("drain", pump);
  await clock.advance(150);
  await until(() => (accepted[0]?.text.length ?? 0) >= TCP_LINK_IN_FLIGHT_BYTES_MAX, "the window arrives");
});

t.test("a rate makes bytes queue for their turn", async (t) => {
  const clock = new VirtualClock();
  const { accepted, dial } = await setUp(t, clock, { rttMs: 0, rateBytesPerSecond: 1_000 });
  const client = await dial();
  client.socket.write("x".repeat(500));
  await until(() => clock.pendingTimers > 0, "the link has the bytes");
  await clock.advance(1);
  await until(() => accepted.length === 1, "connected");
  await clock.advance(490);
  t.equal(accepted[0]?.text, "");
  await clock.advance(20);
  await until(() => accepted[0]?.text.length === 500, "half a second later all have arrived");
});

t.test("a cut resets every connection and new ones until it is restored", async (t) => {
  const { link, accepted, dial } = await setUp(t, systemClock, { rttMs: 0 });
  const before = await dial();
  before.socket.write("a");
  await until(() => accepted[0]?.text === "a", "connected");
  link.cut();
  await until(() => before.closed && accepted[0]?.closed === true, "both ends are told");
  const during = await dial();
  await until(() => during.closed, "a new connection is reset");
  t.equal(accepted.length, 1, "the target hears nothing of it");
  t.equal(link.connectionsTaken, 2, "who waits for another dial sees it at the link");
  link.restore();
  const after = await dial();
  after.socket.write("b");
  await until(() => accepted[1]?.text === "b", "connected again");
});

t.test("half open, nothing arrives and nobody is told; restored, everything does", async (t) => {
  const clock = new VirtualClock();
  const { link, accepted, dial } = await setUp(t, clock, { rttMs: 10 });
  const client = await dial();
  client.socket.write("a");
  await until(() => clock.pendingTimers > 0, "accepted");
  await clock.advance(5);
  await until(() => accepted.length === 1, "connected");
  await clock.advance(10);
  await until(() => accepted[0]?.text === "a", "passes");
  link.halfOpen();
  client.socket.write("b");
  const later = await dial();
  later.socket.write("c");
  await clock.advance(60_000);
  t.equal(accepted[0]?.text, "a");
  t.equal(accepted.length, 1);
  t.notOk(client.closed || later.closed);
  link.restore();
  await clock.advance(10);
  await until(() => accepted[0]?.text === "ab", "what was held arrives");
  await until(() => accepted.length === 2, "what was dialled connects");
  await clock.advance(20);
  await until(() => accepted[1]?.text === "c", "and passes");
});

t.test("an unreachable target resets the client; a reset at either end reaches the other", async (t) => {
  const closed = createServer();
  const target = await listen(closed, ANY);
  await closeServer(closed);
  const link = await startTcpLink({ listen: ANY, target, rttMs: 0, clock: systemClock, random: seededRandom(2) });
  const lonely = watch(connect(link.address));
  await until(() => lonely.closed, "the client is told");
  await link[Symbol.asyncDispose]();

  const { accepted, dial } = await setUp(t, systemClock, { rttMs: 0 });
  const first = await dial();
  first.socket.write("a");
  await until(() => accepted[0]?.text === "a", "connected");
  first.socket.end();
  await until(() => accepted[0]?.ended === true, "the end has arrived");
  first.socket.resetAndDestroy();
  await until(() => accepted[0]?.socket.write("into the void") === false || accepted[0]?.closed === true, "written to");
  await until(() => accepted[0]?.closed === true, "a reset after an end reaches the target once it writes");
  const second = await dial();
  second.socket.write("b");
  await until(() => accepted[1]?.text === "b", "connected");
  accepted[1]?.socket.resetAndDestroy();
  await until(() => second.closed, "the target's reset reaches the client");
  t.ok(lonely.closed && second.closed, "each client was told");
});
