/** A session's sound by real Opus in virtual time: blocks in their places, late ones left out, nothing while nothing sounds. */
import t, { type Test } from "tap";
import { type AudioPacket, decodeAudio } from "#contracts/media/audio.ts";
import { openOpusDecoder } from "#test/render-agent/opus-decoder.ts";
import { toneIn } from "#test/render-agent/tones.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { openOpusEncoder } from "./opus-encoder.ts";
import { makeSounds } from "./scene-sounds.ts";
import { SessionSound } from "./session-sound.ts";

const HERTZ = 440;
const EPOCH_OFFSET_MS = 1_700_000_000_000;
const PLACE = [0, 1.6, -1, 1];

async function start(t: Test, loop: boolean, seconds = 0.1) {
  const clock = new VirtualClock();
  const stalled = { ms: 0 };
  const packets: AudioPacket[] = [];
  const sounds = makeSounds([
    { name: "tone", tone: { hertz: HERTZ, seconds }, position: [0, 0, 0], gain: 1, loop, plays: false },
  ]);
  const sound = new SessionSound({
    clock: { timer: clock.timer, monotonicMs: () => clock.monotonicMs() + stalled.ms },
    ...{ sounds, epochOffsetMs: EPOCH_OFFSET_MS, encoder: await openOpusEncoder() },
    send: (bytes) => packets.push(decodeAudio(bytes)) > 0,
  });
  t.teardown(() => sound[Symbol.dispose]());
  const play = (starts: number) => sound.apply(new Float32Array([...PLACE, starts]));
  return { clock, stalled, packets, sound, play };
}

t.test("a tone that is sent is the tone that is decoded, block after block, each with the one before", async (t) => {
  const { clock, packets, sound, play } = await start(t, true, 1);
  play(1);
  sound.listen(true);
  for (let ms = 0; ms < 1_000; ms += 5) await clock.advance(5);
  t.ok(packets.length >= 99, `${packets.length} packets`);
  for (const [index, { sequence, stampMs, previousOpus }] of packets.entries()) {
    t.equal(sequence, index + 1);
    t.equal(stampMs - (packets[0]?.stampMs ?? 0), index * 10);
    t.same(previousOpus, packets[index - 1]?.opus);
  }
  using decoder = openOpusDecoder();
  const left = packets.flatMap(({ opus }) => [...decoder.decode(opus).left]).slice(480);
  t.ok(toneIn(left, HERTZ).share > 0.999, JSON.stringify(toneIn(left, HERTZ)));
  t.ok(toneIn(left, HERTZ + 5).share < 0.1, "and no other");
});

t.test("a block that is lost is decoded from the next packet as if nothing had been lost", async (t) => {
  const { clock, packets, sound, play } = await start(t, true, 1);
  play(1);
  sound.listen(true);
  for (let ms = 0; ms < 300; ms += 10) await clock.advance(10);
  using whole = openOpusDecoder();
  using repaired = openOpusDecoder();
  const sent = packets.flatMap(({ opus }) => [...whole.decode(opus).left]);
  const heard = packets.flatMap(({ opus, previousOpus }, index) => {
    if (index % 3 === 1) return [];
    const before = index % 3 === 2 && previousOpus !== undefined ? repaired.decode(previousOpus).left : [];
    return [...before, ...repaired.decode(opus).left];
  });
  t.same(heard, sent.slice(0, heard.length));
});

t.test("after a hold-up the blocks that are too late are left out, and what follows has its own stamps", async (t) => {
  const { clock, stalled, packets, sound, play } = await start(t, true, 1);
  play(1);
  sound.listen(true);
  for (let ms = 0; ms < 50; ms += 10) await clock.advance(10);
  const before = packets.length;
  const lastMs = packets.at(-1)?.stampMs ?? 0;
  // The thread does something else meanwhile.
  stalled.ms = 200;
  await clock.advance(10);
  const after = packets.slice(before);
  t.ok(after.length >= 1 && after.length <= 4, `${after.length} packets at once`);
  const [first] = after;
  t.ok((first?.stampMs ?? 0) - lastMs >= 160, `${(first?.stampMs ?? 0) - lastMs} ms later`);
  t.equal(first?.previousOpus, undefined, "the one before it was never made");
  t.equal(first?.sequence, before + 1);
});

t.test("nothing is sent before somebody listens or after the last sound, and the last packet says so", async (t) => {
  const { clock, packets, sound, play } = await start(t, false);
  for (let ms = 0; ms < 50; ms += 10) await clock.advance(10);
  play(1);
  await clock.advance(500);
  sound.listen(true);
  await clock.advance(50);
  t.equal(packets.length, 0, "the sound was over before");
  play(2);
  for (let ms = 0; ms < 500; ms += 10) await clock.advance(10);
  const lengths = packets.length;
  t.ok(lengths >= 15 && lengths <= 20, `${lengths} packets`);
  t.same(
    packets.map(({ isLast }) => isLast),
    packets.map((_, index) => index === lengths - 1),
  );
  play(3);
  await clock.advance(30);
  t.ok(packets.length > lengths, "the next one is heard again");
  t.equal(packets[lengths]?.sequence, lengths + 1);
  sound.listen(false);
  const heard = packets.length;
  await clock.advance(200);
  t.equal(packets.length, heard);
});
