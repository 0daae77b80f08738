/** Packets in any order with any losses: each block once, in its place, repaired where the next one has it. */
import fc from "fast-check";
import t from "tap";
import { encodeAudio } from "#contracts/media/audio.ts";
import { type BlockDecoderEvents, createAudioReceiver } from "./audio-receiver.ts";

const FIRST_STAMP_MS = 1_700_000_000_000.25;
const opusOf = (block: number): Uint8Array => Uint8Array.of(block >> 8, block & 255);

/** Of blocks without a gap: block number 0 has sequence number 1. */
function packetOf(block: number, isLast = false): Uint8Array {
  const packet = { sequence: block + 1, stampMs: FIRST_STAMP_MS + block * 10, opus: opusOf(block), isLast };
  return encodeAudio(block === 0 ? packet : { ...packet, previousOpus: opusOf(block - 1) });
}

function receiving() {
  const decoded: { index: number; block: number }[] = [];
  const rests: number[] = [];
  const decoders: BlockDecoderEvents[] = [];
  const receiver = createAudioReceiver({
    openDecoder(events) {
      decoders.push(events);
      return {
        decode: (index, [high = 0, low = 0]) => void decoded.push({ index, block: high * 256 + low }),
        close: () => undefined,
      };
    },
    onBlock: () => undefined,
    onRest: (frame) => void rests.push(frame),
  });
  return { receiver, decoded, rests, decoders };
}

t.test("single losses are repaired by the next packet; of more, all but the last are lost", async (t) => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 100, size: "max" }), (come) => {
      const { receiver, decoded } = receiving();
      receiver.add(packetOf(0));
      for (const [at, comes] of come.entries()) if (comes) receiver.add(packetOf(at + 1));
      const newest = come.lastIndexOf(true) + 1;
      const expected = Array.from({ length: newest + 1 }, (_, block) => block).filter(
        (block) => block === 0 || come[block - 1] === true || come[block] === true,
      );
      t.same(
        decoded,
        expected.map((block) => ({ index: block, block })),
        come.join(),
      );
      const { packetsReceived, packetsLost, packetsRepaired } = receiver.counts();
      t.equal(packetsReceived + packetsLost + packetsRepaired, newest + 1, come.join());
      t.equal(packetsLost, newest + 1 - expected.length, come.join());
    }),
  );
});

t.test(
  "whatever order and however often packets come, no block is decoded twice or before an earlier one",
  async (t) => {
    fc.assert(
      fc.property(fc.array(fc.nat(30), { minLength: 1, maxLength: 60 }), (order) => {
        const { receiver, decoded } = receiving();
        for (const block of order) receiver.add(packetOf(block));
        const indexes = decoded.map(({ index }) => index);
        t.ok(
          indexes.every((index, at) => at === 0 || index > (indexes[at - 1] ?? 0)),
          `${order}: ${indexes}`,
        );
        const { packetsReceived, packetsLate } = receiver.counts();
        t.equal(packetsReceived + packetsLate, order.length);
      }),
    );
  },
);

t.test(
  "stamps give places: a pause is no loss, the last packet before it says so, and a stamp comes back of a place",
  async (t) => {
    const { receiver, decoded, rests } = receiving();
    receiver.add(packetOf(0, true));
    receiver.add(encodeAudio({ sequence: 2, stampMs: FIRST_STAMP_MS + 1_000, opus: opusOf(7), isLast: false }));
    t.same(decoded, [
      { index: 0, block: 0 },
      { index: 100, block: 7 },
    ]);
    t.same(rests, [480]);
    t.match(receiver.counts(), { packetsReceived: 2, packetsLost: 0 });
    receiver.add(encodeAudio({ sequence: 3, stampMs: FIRST_STAMP_MS + 1_000, opus: opusOf(8), isLast: false }));
    t.match(receiver.counts(), { packetsReceived: 2, packetsLate: 1 }, "no two blocks have one place");
    t.equal(receiver.stampMsOf(48_000), FIRST_STAMP_MS + 1_000);
    t.equal(receiver.frameOf(FIRST_STAMP_MS + 1_000), 48_000);
  },
);

t.test("a stamp that no session comes to is of no block, and takes no later one's place", async (t) => {
  const { receiver, decoded } = receiving();
  receiver.add(packetOf(0));
  receiver.add(encodeAudio({ sequence: 2, stampMs: Number.MAX_SAFE_INTEGER, opus: opusOf(9), isLast: false }));
  receiver.add(packetOf(2));
  t.same(
    decoded.map(({ index }) => index),
    [0, 1, 2],
  );
  t.match(receiver.counts(), { packetsReceived: 2, packetsLate: 1, packetsRepaired: 1 });
});

t.test("what is no packet is left out, and a decoder that fails is replaced", async (t) => {
  const { receiver, decoded, decoders } = receiving();
  receiver.add(new Uint8Array(40));
  receiver.add(packetOf(0));
  decoders[0]?.onError();
  receiver.add(packetOf(1));
  t.same(
    decoded.map(({ index }) => index),
    [0, 1],
  );
  t.equal(decoders.length, 2);
  receiver.close();
  decoders[1]?.onError();
  receiver.add(packetOf(2));
  t.equal(decoders.length, 2, "none after its end");
  t.equal(decoded.length, 2);
});
