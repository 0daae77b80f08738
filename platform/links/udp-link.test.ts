import type { RemoteInfo, Socket } from "node:dgram";
import t, { type Test } from "tap";
import type { Clock } from "#platform/clock.ts";
import {
  startUdpLink,
  UDP_LINK_IDLE_MS_MAX,
  UDP_LINK_SOURCES_MAX,
  type UdpLinkOptions,
} from "#platform/links/udp-link.ts";
import { bindUdp, bindUdpRange, createUdpSocket } from "#platform/links/udp-ports.ts";
import { seededRandom } from "#platform/random.ts";
import { until } from "#test/simulation/until.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";

const ANY = { host: "127.0.0.1", port: 0 };

interface Received {
  readonly text: string;
  readonly from: RemoteInfo;
  readonly on: number;
}

function record(socket: Socket, on: number, into: Received[]): void {
  socket.on("message", (bytes, from) => into.push({ text: bytes.toString(), from, on }));
}

async function setUp(t: Test, clock: Clock, options: Pick<UdpLinkOptions, "rttMs" | "lossRatio" | "portCount">) {
  const targets = await bindUdpRange(ANY, options.portCount ?? 1);
  const received: Received[] = [];
  for (const [index, socket] of targets.entries()) record(socket, index, received);
  const target = { host: ANY.host, port: targets[0]?.address().port ?? 0 };
  const link = await startUdpLink({ listen: ANY, target, clock, random: seededRandom(5), ...options });
  const clients: Socket[] = [];
  t.teardown(async () => {
    await link[Symbol.asyncDispose]();
    for (const socket of [...clients, ...targets]) socket.close();
  });
  const dial = async (): Promise<{
    socket: Socket;
    received: Received[];
    send: (text: string, offset?: number) => void;
  }> => {
    const socket = createUdpSocket(ANY.host);
    await bindUdp(socket, ANY);
    clients.push(socket);
    const answers: Received[] = [];
    record(socket, 0, answers);
    const send = (text: string, offset = 0): void => socket.send(text, link.address.port + offset, link.address.host);
    return { socket, received: answers, send };
  };
  /** The link's own sweep is one timer; another means that a datagram is under way. */
  const inFlight = (): Promise<void> =>
    until(() => clock instanceof VirtualClock && clock.pendingTimers > 1, "in flight");
  return { link, targets, received, dial, inFlight };
}

t.test(
  "datagrams of each client come from a socket of its own and their answers find back, half a round trip each",
  async (t) => {
    const clock = new VirtualClock();
    const { targets, received, dial, inFlight } = await setUp(t, clock, { rttMs: 40 });
    const [one, two] = [await dial(), await dial()];
    one.send("from one");
    await inFlight();
    await clock.advance(19);
    t.equal(received.length, 0);
    await clock.advance(1);
    await until(() => received.length === 1, "the first arrives");
    two.send("from two");
    await inFlight();
    await clock.advance(20);
    await until(() => received.length === 2, "the second arrives");
    t.not(received[0]?.from.port, received[1]?.from.port);
    for (const { text, from } of received) targets[0]?.send(`to ${text.slice(5)}`, from.port, from.address);
    await inFlight();
    await clock.advance(40);
    await until(() => one.received.length === 1 && two.received.length === 1, "both answers arrive");
    t.equal(one.received[0]?.text, "to one");
    t.equal(two.received[0]?.text, "to two");
  },
);

t.test("a range of ports leads to the target's range by offset, and answers come from the same offset", async (t) => {
  const clock = new VirtualClock();
  const { link, targets, received, dial, inFlight } = await setUp(t, clock, { rttMs: 2, portCount: 3 });
  const client = await dial();
  for (const offset of [2, 0, 1]) {
    client.send(`offset ${offset}`, offset);
    await inFlight();
    await clock.advance(5);
    await until(() => received.some(({ text }) => text === `offset ${offset}`), `offset ${offset} arrives`);
  }
  for (const { text, on } of received) t.equal(text, `offset ${on}`);
  const last = received.find(({ on }) => on === 2);
  targets[2]?.send("back", last?.from.port ?? 0, ANY.host);
  await inFlight();
  await clock.advance(5);
  await until(() => client.received.length === 1, "the answer arrives");
  t.equal(client.received[0]?.from.port, link.address.port + 2);
});

t.test("loss drops its share and keeps the order of the rest", async (t) => {
  const clock = new VirtualClock();
  const { received, dial, inFlight } = await setUp(t, clock, { rttMs: 10, lossRatio: 0.5 });
  const client = await dial();
  const sent = 200;
  for (let number = 0; number < sent; number += 1) client.send(String(number));
  await inFlight();
  for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(20);
  await until(() => received.length > sent / 4, "a share arrives");
  t.ok(received.length < (sent * 3) / 4, `${received.length} of ${sent} arrived`);
  const numbers = received.map(({ text }) => Number(text));
  t.strictSame(
    numbers,
    numbers.toSorted((a, b) => a - b),
  );
});

t.test("cut or half open, datagrams vanish, also those under way; restored, the same mapping goes on", async (t) => {
  const clock = new VirtualClock();
  const { link, received, dial, inFlight } = await setUp(t, clock, { rttMs: 10 });
  const client = await dial();
  const pass = async (text: string): Promise<void> => {
    client.send(text);
    await inFlight();
    await clock.advance(5);
    await until(() => received.at(-1)?.text === text, `${text} arrives`);
  };
  await pass("before");
  for (const fault of [link.cut, link.halfOpen]) {
    client.send("under way");
    await inFlight();
    fault();
    client.send("during");
    await clock.advance(1_000);
    link.restore();
    await pass(`after ${received.length}`);
  }
  t.strictSame(
    received.map(({ text }) => text),
    ["before", "after 1", "after 2"],
  );
  t.equal(new Set(received.map(({ from }) => from.port)).size, 1);
});

t.test("an idle source is forgotten, and the number of sources is bounded", async (t) => {
  const clock = new VirtualClock();
  const { received, dial, inFlight } = await setUp(t, clock, { rttMs: 2 });
  const client = await dial();
  const pass = async (from: typeof client): Promise<number> => {
    const before = received.length;
    from.send("x");
    await inFlight();
    await clock.advance(1);
    await until(() => received.length > before, "arrives");
    return received.at(-1)?.from.port ?? 0;
  };
  const first = await pass(client);
  await clock.advance(UDP_LINK_IDLE_MS_MAX - 30_000);
  t.equal(await pass(client), first, "a source in use is kept");
  await clock.advance(UDP_LINK_IDLE_MS_MAX + 30_000);
  const second = await pass(client);
  t.not(second, first, "an idle one is not");
  for (let other = 0; other < UDP_LINK_SOURCES_MAX; other += 1) await pass(await dial());
  t.not(await pass(client), second, "the least recently used leaves when there are too many");
});
