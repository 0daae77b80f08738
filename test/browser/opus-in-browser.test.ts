/** A real browser decodes what the agent encodes: with single packets lost, block by block what was mixed. */
import t from "tap";
import Type from "typebox";
import { Value } from "typebox/value";
import { AUDIO_BLOCK_FRAMES, AUDIO_CODEC_DELAY_FRAMES, encodeAudio } from "#contracts/media/audio.ts";
import { Mixer } from "#render-agent/audio/mixer.ts";
import { openOpusEncoder } from "#render-agent/audio/opus-encoder.ts";
import { makeSounds } from "#render-agent/audio/scene-sounds.ts";
import { openScriptPage } from "./script-page.ts";

const BLOCKS = 62;
/** Each of them alone; blocks 40 to 42 are three in a row, of which the last is in the next packet. */
const isLost = (block: number): boolean => block % 7 === 3 || (block >= 40 && block <= 42);
const ENTRY = `
  import { createAudioReceiver } from "./audio/audio-receiver.ts";
  import { explainMissingOpus, openOpusDecoder } from "./audio/opus-decoder.ts";

  window.decode = async (packets, expected) => {
    const missing = await explainMissingOpus();
    if (missing !== undefined) throw new Error(missing);
    const blocks = [];
    const done = Promise.withResolvers();
    const receiver = createAudioReceiver({
      openDecoder: openOpusDecoder,
      onBlock({ index, left, right }) {
        blocks.push({ index, left: [...left], right: [...right] });
        if (blocks.length === expected) done.resolve();
      },
      onRest() {},
    });
    for (const text of packets) {
      // A decoder that is given more at once than it ever holds counts as stuck.
      await new Promise((resolve) => setTimeout(resolve, 5));
      receiver.add(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)));
    }
    await done.promise;
    const counts = receiver.counts();
    receiver.close();
    return { blocks, counts };
  };
`;
const samples = Type.Array(Type.Number(), { minItems: AUDIO_BLOCK_FRAMES, maxItems: AUDIO_BLOCK_FRAMES });
const decoded = Type.Object({
  blocks: Type.Array(Type.Object({ index: Type.Integer(), left: samples, right: samples })),
  counts: Type.Object({
    packetsLost: Type.Integer(),
    packetsRepaired: Type.Integer(),
    packetsReceived: Type.Integer(),
  }),
});

/** A tone that glides from ahead to the right, as mixed and as sent. */
async function send() {
  const mixer = new Mixer(
    makeSounds([{ name: "tone", tone: { hertz: 440 }, position: [0, 0, 0], gain: 1, loop: true, plays: true }]),
  );
  using encoder = await openOpusEncoder();
  const mixed: { left: number[]; right: number[] } = { left: [], right: [] };
  const packets: string[] = [];
  let previousOpus: Uint8Array | undefined;
  for (let block = 0; block < BLOCKS; block += 1) {
    mixer.apply(new Float32Array([block / 60, 1.6, -1, 1, 1]));
    const both = mixer.mix();
    for (const [at, value] of both.entries()) mixed[at % 2 === 0 ? "left" : "right"].push(value);
    const opus = encoder.encode(both);
    const packet = { sequence: block + 1, stampMs: 1_000 + block * 10, opus, isLast: false };
    const bytes = encodeAudio(previousOpus === undefined ? packet : { ...packet, previousOpus });
    if (!isLost(block)) packets.push(Buffer.from(bytes).toString("base64"));
    previousOpus = opus;
  }
  return { mixed, packets };
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]) =>
    x.reduce((sum, value, at) => sum + value * (y[at] ?? 0), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

t.test("each block that came or was repaired is heard in its place, as it was mixed, at both ears", async (t) => {
  const { mixed, packets } = await send();
  await using opened = await openScriptPage(ENTRY);
  const { page } = opened;
  // Blocks 40 and 41 are in no packet that came.
  const answer = await page.evaluate(`decode(${JSON.stringify(packets)}, ${BLOCKS - 2})`);
  const { blocks, counts } = Value.Parse(decoded, answer);
  t.same(
    blocks.map(({ index }) => index),
    Array.from({ length: BLOCKS }, (_, block) => block).filter((block) => block !== 40 && block !== 41),
  );
  t.match(counts, { packetsLost: 2, packetsReceived: packets.length, packetsRepaired: BLOCKS - 2 - packets.length });
  for (const { index, left, right } of blocks) {
    // A decoder needs a block to begin, and one after it has missed some.
    if (index === 0 || index === 42) continue;
    const from = index * AUDIO_BLOCK_FRAMES - AUDIO_CODEC_DELAY_FRAMES;
    const ear = {
      left: mixed.left.slice(from, from + AUDIO_BLOCK_FRAMES),
      right: mixed.right.slice(from, from + AUDIO_BLOCK_FRAMES),
    };
    t.ok(correlation(left, ear.left) > 0.97, `block ${index}, left: ${correlation(left, ear.left)}`);
    t.ok(correlation(right, ear.right) > 0.97, `block ${index}, right: ${correlation(right, ear.right)}`);
  }
});
