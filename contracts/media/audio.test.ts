import fc from "fast-check";
import t from "tap";
import { isFailure } from "#domain/failure.ts";
import {
  AUDIO_BYTES_MAX,
  AUDIO_HEADER_BYTES,
  type AudioPacket,
  decodeAudio,
  encodeAudio,
  OPUS_BYTES_MAX,
} from "./audio.ts";

const opus = fc.uint8Array({ minLength: 1, maxLength: OPUS_BYTES_MAX, size: "max" });
const packets: fc.Arbitrary<AudioPacket> = fc
  .record({
    sequence: fc.integer({ min: 1, max: 0xffff_ffff }),
    stampMs: fc.double({ min: 0, max: Number.MAX_SAFE_INTEGER, noNaN: true }),
    opus,
    previousOpus: fc.option(opus, { nil: undefined }),
    isLast: fc.boolean(),
  })
  .map(({ previousOpus, ...rest }) => (previousOpus === undefined ? rest : { ...rest, previousOpus }));
const PACKET: AudioPacket = {
  sequence: 7,
  stampMs: 1_700_000_000_000.25,
  opus: new Uint8Array([1, 2, 3]),
  previousOpus: new Uint8Array([4, 5]),
  isLast: false,
};

/** Each part as plain numbers: views and copies are the same then. */
function plain({ opus, previousOpus, ...rest }: AudioPacket) {
  return { ...rest, opus: [...opus], previous: previousOpus === undefined ? undefined : [...previousOpus] };
}

t.test("what is decoded is what was encoded, in one message", async (t) => {
  fc.assert(
    fc.property(packets, (packet) => {
      const bytes = encodeAudio(packet);
      t.ok(bytes.byteLength <= AUDIO_BYTES_MAX);
      t.same(plain(decodeAudio(bytes)), plain(packet));
    }),
  );
});

t.test(
  "whatever bytes come are a packet or refused by name, and a packet's bytes are those it is encoded as",
  async (t) => {
    const seen = { taken: 0, refused: 0 };
    const damaged = fc
      .tuple(packets, fc.nat(AUDIO_BYTES_MAX), fc.nat(255), fc.nat(3))
      .map(([packet, at, value, cut]) => {
        const bytes = encodeAudio(packet);
        bytes[at % Math.min(bytes.length, AUDIO_HEADER_BYTES)] = value;
        return bytes.subarray(0, bytes.length - cut);
      });
    const any = fc.uint8Array({ maxLength: AUDIO_BYTES_MAX + 1 });
    fc.assert(
      fc.property(fc.oneof(damaged, any), (bytes) => {
        try {
          const packet = decodeAudio(bytes);
          seen.taken += 1;
          t.same([...encodeAudio(packet)], [...bytes]);
        } catch (error) {
          if (!isFailure(error, "media-invalid")) throw error;
          seen.refused += 1;
        }
      }),
      { numRuns: 1_000 },
    );
    t.comment(JSON.stringify(seen));
    t.ok(seen.taken > 20 && seen.refused > 20, JSON.stringify(seen));
  },
);

t.test("each field that is out of its bounds is named", async (t) => {
  const changed = (change: (view: DataView<ArrayBuffer>) => void): Uint8Array => {
    const bytes = encodeAudio(PACKET);
    change(new DataView(bytes.buffer));
    return bytes;
  };
  const cases: readonly (readonly [string, Uint8Array, RegExp])[] = [
    ["type", changed((view) => view.setUint8(0, 2)), /type 3/],
    ["version", changed((view) => view.setUint8(1, 2)), /version 1/],
    ["flag", changed((view) => view.setUint8(2, 4)), /flags/],
    ["reserved", changed((view) => view.setUint8(3, 1)), /flags/],
    ["sequence", changed((view) => view.setUint32(4, 0)), /sequence/],
    ["not a time", changed((view) => view.setFloat64(8, Number.NaN, true)), /stamp/],
    ["before all time", changed((view) => view.setFloat64(8, -1, true)), /stamp/],
    ["empty", changed((view) => view.setUint16(16, 0, true)), /Opus packet/],
    ["too long", changed((view) => view.setUint16(16, OPUS_BYTES_MAX + 1, true)), /Opus packet/],
    ["longer than it is", changed((view) => view.setUint16(16, 4, true)), /as long/],
    ["a repeat of nothing", changed((view) => view.setUint16(18, 0, true)), /Opus packet/],
    ["a repeat unsaid", changed((view) => view.setUint8(2, 0)), /repeats/],
    ["header alone", encodeAudio(PACKET).subarray(0, AUDIO_HEADER_BYTES), /bytes/],
    ["more than a message", new Uint8Array(AUDIO_BYTES_MAX + 1), /bytes/],
  ];
  for (const [what, bytes, message] of cases) {
    t.throws(() => decodeAudio(bytes), { code: "media-invalid", message }, what);
  }
  t.throws(() => encodeAudio({ ...PACKET, opus: new Uint8Array(OPUS_BYTES_MAX + 1) }), { code: "media-invalid" });
});
