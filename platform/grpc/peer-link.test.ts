import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { SimulatedProcess } from "../../test/simulation/simulated-process.ts";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { Heartbeat } from "./heartbeat.ts";
import { LINK_MESSAGES_MAX, listenTo, PeerLink, PING_MS, SILENCE_MS_MAX } from "./peer-link.ts";

const start = (check: () => void = () => undefined) => {
  const clock = new VirtualClock();
  const heartbeat = new Heartbeat(clock, PING_MS);
  const { signal } = new AbortController();
  const link = new PeerLink<bigint>({ clock, heartbeat, signal, ping: (nonce) => nonce, check });
  return { clock, link };
};

const codeOf = ({ signal }: PeerLink<bigint>) => (isFailure(signal.reason) ? signal.reason.code : signal.reason);

t.test("a peer is pinged, and ended within ten seconds of its last word, whenever that was", async (t) => {
  for (const lastWordMs of [0, 100, 3_999, 4_001]) {
    const { clock, link } = start();
    await clock.advance(lastWordMs);
    link.heard();
    await clock.advance(SILENCE_MS_MAX - 1);
    t.notOk(link.signal.aborted, `${lastWordMs}: not before`);
    await clock.advance(1_001);
    t.equal(codeOf(link), "unavailable", `${lastWordMs}: after`);
    const messages = link.messages();
    await t.rejects(messages.next(), { code: "unavailable" });
    link[Symbol.dispose]();
    t.equal(clock.pendingTimers, 0, "nothing is left");
  }
});

t.test("time in which this process was held itself is no silence of its peer's", async (t) => {
  const time = new VirtualClock();
  const held = new SimulatedProcess("origin", time, { skewMs: () => 0 });
  const { clock } = held;
  const heartbeat = new Heartbeat(clock, PING_MS);
  const { signal } = new AbortController();
  const link = new PeerLink<bigint>({ clock, heartbeat, signal, ping: (nonce) => nonce, check: () => undefined });
  await time.advance(1_000);
  held.block(2 * SILENCE_MS_MAX);
  await time.advance(2 * SILENCE_MS_MAX + 1_000);
  t.notOk(link.signal.aborted, "it was asked for nothing meanwhile");
  await time.advance(SILENCE_MS_MAX);
  t.equal(codeOf(link), "unavailable", "it says nothing");
  link[Symbol.dispose]();
});

t.test("a peer that is no member any more, or reads nothing, is ended", async (t) => {
  let isMember = true;
  const { clock, link } = start(() => {
    if (!isMember) throw new Error("no member");
  });
  link.heard();
  isMember = false;
  await clock.advance(PING_MS);
  t.match(link.signal.reason, { message: "no member" });
  const slow = start().link;
  for (let count = 0; count < LINK_MESSAGES_MAX; count += 1) slow.push(1n);
  t.notOk(slow.signal.aborted);
  slow.push(1n);
  t.equal(codeOf(slow), "overloaded");
});

t.test("the link ends with what the peer sends, and with what it sends wrongly", async (t) => {
  const { link } = start();
  const taken: number[] = [];
  async function* words() {
    yield* [1, 2];
  }
  const ended = new Promise((resolve) => link.signal.addEventListener("abort", resolve));
  listenTo(words(), link, (word) => void taken.push(word));
  await ended;
  t.same(taken, [1, 2]);
  const wrong = start().link;
  const failed = new Promise((resolve) => wrong.signal.addEventListener("abort", resolve));
  listenTo(words(), wrong, () => {
    throw new Error("not understood");
  });
  await failed;
  t.match(wrong.signal.reason, { message: "not understood" });
});
