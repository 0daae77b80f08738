/** Real sockets on loopback: one port for UDP and TCP, several queries on a connection, and an end in order. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { decode, encode } from "dns-packet";
import t, { type Test } from "tap";
import { until } from "#test/simulation/until.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { startDnsServer } from "./dns-server.ts";
import { QUERY_BYTES_MAX } from "./query.ts";
import { CONNECTIONS_MAX, IDLE_MS_MAX } from "./tcp-connections.ts";
import { zonesOf } from "./zone-names.ts";

const zones = zonesOf({
  ...{ zones: ["cdn.example"], nameservers: [{ name: "ns.example", addresses: [] }] },
  ...{ ttlSecondsMin: 5, ttlSecondsMax: 60 },
});
const names = {
  serial: () => 1,
  lookUp: () => ({
    ...{ kind: "edges" as const, edges: [{ contentUrl: "http://192.0.2.1", scoreMs: 0 }] },
    ...{ ttlSeconds: 5, scopePrefixLength: 0 },
  }),
};
const queryOf = (id: number) => encode({ type: "query", id, questions: [{ name: "a.cdn.example", type: "A" }] });
const framed = (message: Buffer) => Buffer.concat([Buffer.of(message.length >>> 8, message.length & 255), message]);

async function start(t: Test, host = "127.0.0.1") {
  const told: string[] = [];
  const clock = new VirtualClock();
  const server = await startDnsServer({
    ...{ address: { host, port: 0 }, zones, names, clock },
    events: {
      answered: (transport, rcode) => void told.push(`${transport} ${rcode}`),
      truncated: () => void told.push("truncated"),
      dropped: (because) => void told.push(`dropped ${because}`),
      broke: (error) => void told.push(String(error)),
    },
  });
  t.teardown(() => server[Symbol.asyncDispose]());
  const dial = (): Socket => {
    const socket = connect(server.address.port, host);
    socket.on("error", () => undefined);
    t.teardown(() => socket.destroy());
    return socket;
  };
  return { server, told, clock, dial };
}

/** Reads so many messages, or what there is when the other side has ended. */
async function readMessages(socket: Socket, count: number): Promise<readonly number[]> {
  const ids: number[] = [];
  let waiting = Buffer.alloc(0);
  while (ids.length < count) {
    const [chunk]: (Buffer | undefined)[] = await Promise.race([
      once(socket, "data"),
      once(socket, "close").then(() => []),
    ]);
    if (chunk === undefined) return ids;
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= 2 && waiting.length >= 2 + waiting.readUInt16BE(0)) {
      const end = 2 + waiting.readUInt16BE(0);
      ids.push(decode(waiting.subarray(2, end)).id);
      waiting = waiting.subarray(end);
    }
  }
  return ids;
}

t.test("a datagram is answered to where it came from, by either family", async (t) => {
  for (const host of ["127.0.0.1", "::1"]) {
    const { server, told } = await start(t, host);
    const socket = createSocket(host === "::1" ? "udp6" : "udp4");
    t.teardown(() => new Promise<void>((resolve) => socket.close(() => resolve())));
    socket.send(Buffer.alloc(QUERY_BYTES_MAX + 1), server.address.port, host);
    socket.send(Buffer.from("junk"), server.address.port, host);
    socket.send(queryOf(7), server.address.port, host);
    const [answer]: Buffer[] = await once(socket, "message");
    t.match(decode(answer ?? Buffer.alloc(0)), { id: 7, answers: [{ data: "192.0.2.1" }] });
    t.same(told, ["dropped long", "dropped short", "udp NOERROR"]);
  }
});

t.test(
  "queries on one connection are answered in turn, however they are cut, until the client has enough",
  async (t) => {
    const { dial } = await start(t);
    const socket = dial();
    const all = Buffer.concat([1, 2, 3, 4].map((id) => framed(queryOf(id))));
    socket.write(all.subarray(0, 33));
    socket.write(all.subarray(33, 34));
    t.same(await readMessages(socket, 1), [1]);
    socket.end(all.subarray(34));
    t.same(await readMessages(socket, 9), [2, 3, 4], "the answers to what it asked before it ended");
  },
);

t.test("a connection that asks nothing for long, or no query, is closed", async (t) => {
  const { dial, clock, told } = await start(t);
  const idle = dial();
  idle.write(framed(queryOf(1)));
  await readMessages(idle, 1);
  await clock.advance(IDLE_MS_MAX - 1);
  const closed = once(idle, "close");
  // A part of a query gains no time.
  idle.write(Buffer.of(0));
  t.equal(idle.destroyed, false);
  await clock.advance(2);
  idle.resume();
  await closed;
  for (const [bytes, reason] of [
    [Buffer.of(0xff, 0xff), "dropped long"],
    [Buffer.of(0, 3, 1, 2, 3), "dropped short"],
    [framed(Buffer.concat([Buffer.of(0, 1, 0x80), Buffer.alloc(9)])), "dropped response"],
  ] as const) {
    const socket = dial();
    socket.resume().write(bytes);
    await once(socket, "close");
    t.equal(told.at(-1), reason);
  }
  t.equal(clock.pendingTimers, 0, "nothing is kept of those that are closed");
});

t.test("more connections than the limit are closed at once", async (t) => {
  const { dial, told } = await start(t);
  const sockets = Array.from({ length: CONNECTIONS_MAX }, dial);
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  const last = sockets.at(-1);
  last?.write(framed(queryOf(1)));
  if (last !== undefined) await readMessages(last, 1);
  const over = dial().resume();
  await once(over, "close");
  t.equal(told.at(-1), "dropped connections");
});

t.test("stopped, it holds for no connection, and keeps no timer", async (t) => {
  const { server, dial, clock } = await start(t);
  const [idle, asked] = [dial(), dial()];
  await once(idle, "connect");
  asked.write(framed(queryOf(6)));
  t.same(await readMessages(asked, 1), [6]);
  const ended = Promise.all([idle, asked].map((one) => once(one.resume(), "close")));
  await server[Symbol.asyncDispose]();
  await ended;
  await until(() => clock.pendingTimers === 0, "no timer is left");
});
