/** Addresses for one connection each, and session descriptions that say where to send. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import t, { type Test } from "tap";
import WebSocket from "ws";
import { encodePose } from "#contracts/media/pose.ts";
import { seededRandom } from "#platform/random.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { advertised, withoutCandidates } from "./sdp.ts";
import type { Transport, TransportEvents } from "./transport.ts";
import { acceptUpgrade } from "./websocket.ts";
import { openWebSocketDoor } from "./websocket-door.ts";

async function openDoor(t: Test) {
  const clock = new VirtualClock();
  let refused = 0;
  const door = await openWebSocketDoor({
    listen: { host: "127.0.0.1", port: 0 },
    publicUrl: undefined,
    clock,
    random: seededRandom(1),
    events: {
      upgradeRefused: () => {
        refused += 1;
      },
    },
  });
  t.teardown(() => door[Symbol.dispose]());
  return { door, clock, refusals: () => refused };
}

t.test("an address is good for one connection, soon; any other is refused and counted", async (t) => {
  const { door, clock, refusals } = await openDoor(t);
  const taken: Socket[] = [];
  const url = door.issue((socket) => {
    taken.push(socket);
    socket.destroy();
  });
  t.match(url, /^ws:\/\/127\.0\.0\.1:\d+\/v1\/media\/[A-Za-z0-9_-]{43}$/);
  const refusedAs = async (target: string) => {
    const socket = new WebSocket(target);
    const [error] = await once(socket, "error");
    return String(error);
  };
  t.match(await refusedAs(url), /hang up|ECONNRESET/);
  t.equal(taken.length, 1);
  t.match(await refusedAs(url), /404/);
  t.match(await refusedAs(url.replace(/[^/]+$/, "x".repeat(43))), /404/);
  const late = door.issue(() => t.fail("too late"));
  await clock.advance(10_001);
  t.match(await refusedAs(late), /404/);
  t.equal(refusals(), 3);
  t.equal((await fetch(url.replace("ws:", "http:"))).status, 426);
});

t.test("what breaks the protocol is dropped, and what comes right is taken", async (t) => {
  const { door } = await openDoor(t);
  const seen = { poses: 0, control: [] as string[], invalid: 0, closed: [] as string[] };
  const url = door.issue((socket, upgrade) => {
    const events: TransportEvents = {
      onPose: () => {
        seen.poses += 1;
      },
      onControl: ({ type }) => void seen.control.push(type),
      onClosed: (reason) => void seen.closed.push(reason),
      onInvalid: () => {
        seen.invalid += 1;
      },
    };
    void acceptUpgrade(socket, upgrade, events, { clock: new VirtualClock(), random: seededRandom(2) });
  });
  const client = new WebSocket(url);
  await once(client, "open");
  const eye = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
  const [position, orientation] = [
    { x: 0, y: 0, z: 0 },
    { x: 0, y: 0, z: 0, w: 1 },
  ];
  client.send(Buffer.from("nonsense"));
  client.send("{");
  client.send('{"type":"keyframe-request"}');
  client.send(encodePose({ poseId: 1, sampledAtMs: 1, position, orientation, eyes: [eye, eye] }));
  await patiently(() => seen.poses === 1, "the pose");
  t.match(seen, { control: ["keyframe-request"], invalid: 2 });
  client.send(Buffer.alloc(5_000));
  await patiently(() => seen.closed.length === 1, "too large ends it");
});

t.test("a connection's round trip is by pings; no pong sent ahead makes it shorter", async (t) => {
  const { door, clock } = await openDoor(t);
  const opened = Promise.withResolvers<Transport>();
  const nothing = (): void => undefined;
  const url = door.issue((socket, upgrade) => {
    const events = { onPose: nothing, onControl: nothing, onClosed: nothing, onInvalid: nothing };
    acceptUpgrade(socket, upgrade, events, { clock, random: seededRandom(2) }).then(opened.resolve, opened.reject);
  });
  const client = new WebSocket(url, { autoPong: false });
  const pings: Buffer[] = [];
  client.on("ping", (content) => pings.push(content));
  await once(client, "open");
  const transport = await opened.promise;
  t.equal(transport.measureRtt(), 0, "nothing is known at first");
  await patiently(() => pings.length === 1, "the ping");
  client.pong(Buffer.alloc(8));
  await clock.advance(40);
  t.equal(transport.measureRtt(), 0, "another's answer is none");
  client.pong(pings[0]);
  for (const [answered, ms] of [120, 80].entries()) {
    await patiently(() => transport.measureRtt() === 0 && pings.length === answered + 2, "the next ping");
    await clock.advance(ms);
    client.pong(pings[answered + 1]);
  }
  await patiently(() => transport.measureRtt() > 0, "the third answer");
  t.equal(transport.measureRtt(), 40, "the least of three");
  await patiently(() => pings.length === 4, "the fourth ping");
  await clock.advance(120);
  client.pong(pings[3]);
  await patiently(() => transport.measureRtt() !== 40, "its answer");
  t.equal(transport.measureRtt(), 50, "an eighth of the way");
  client.terminate();
});

t.test("bytes that are no HTTP do not stop the door", async (t) => {
  const { door } = await openDoor(t);
  const socket = connect(door.address.port, door.address.host);
  await once(socket, "connect");
  socket.write("\u0000\u0001garbage\r\n\r\n");
  await once(socket.resume(), "close");
  t.match(
    door.issue(() => undefined),
    /^ws:/,
  );
});

t.test("host candidates are advertised at another address and port, and an offer's can be left out", async (t) => {
  const line = "a=candidate:1 1 UDP 2122317823 127.0.0.1 5000 typ host";
  t.equal(
    advertised(line, { address: "192.0.2.7", portOffset: 100 }),
    "a=candidate:1 1 UDP 2122317823 192.0.2.7 5100 typ host",
  );
  t.equal(advertised(line, undefined), line);
  const endings = ["", "\n", "\u2028\r\n", "\r"].map((ending) => withoutCandidates(`v=0\r\n${line}${ending}`));
  t.same(endings, Array(4).fill("v=0\r\n"), "however its line ends");
  t.equal(withoutCandidates(`v=0\r\n${line}\r\na=end-of-candidates\r\n`), "v=0\r\na=end-of-candidates\r\n");
});
