import t from "tap";
import { seededRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { RoundTrips } from "./round-trips.ts";

async function open() {
  const clock = new VirtualClock();
  const sent: Buffer[] = [];
  const state = { isOpen: true };
  const send = (content: Buffer): boolean => {
    if (state.isOpen) sent.push(content);
    return state.isOpen;
  };
  return { clock, sent, state, roundTrips: new RoundTrips(send, { clock, random: seededRandom(3) }) };
}

const last = (sent: readonly Buffer[]): Buffer => sent.at(-1) ?? Buffer.alloc(0);

t.test("one is on its way at a time, and one that is never answered is followed by another", async (t) => {
  const { clock, sent, roundTrips } = await open();
  roundTrips.measure();
  await clock.advance(9_999);
  roundTrips.measure();
  t.equal(sent.length, 1);
  await clock.advance(1);
  roundTrips.measure();
  t.equal(sent.length, 2);
  roundTrips.take(sent[0] ?? Buffer.alloc(0));
  roundTrips.measure();
  t.equal(sent.length, 2, "too late to be an answer");
});

t.test("an echo counts once, and only of what was sent", async (t) => {
  const { clock, sent, roundTrips } = await open();
  for (const ms of [40, 20, 30]) {
    t.equal(roundTrips.measure(), 0);
    await clock.advance(ms);
    roundTrips.take(Buffer.alloc(8));
    roundTrips.take(last(sent));
    await clock.advance(500);
    roundTrips.take(last(sent));
  }
  t.equal(roundTrips.measure(), 20, "the least of three");
});

t.test("where nothing can be sent the next time is as the first", async (t) => {
  const { sent, state, roundTrips } = await open();
  state.isOpen = false;
  roundTrips.measure();
  state.isOpen = true;
  roundTrips.measure();
  t.equal(sent.length, 1);
});
