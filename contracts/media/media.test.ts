/** The media protocol: what is written is read, losses within the parity are repaired, garbage is refused by name. */
import fc from "fast-check";
import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { type ControlMessage, decodeControl, ECHO_CHARACTERS_MAX, encodeControl } from "./control.ts";
import { cutFragments, FRAGMENT_BYTES_MAX, FrameAssembler } from "./fragments.ts";
import { CODECS, decodeFrame, encodeFrame } from "./frame.ts";
import { decodePose, encodePose } from "./pose.ts";

const float = (max: number) => fc.float({ min: Math.fround(-max), max: Math.fround(max), noNaN: true });
const vector = (max: number) => fc.record({ x: float(max), y: float(max), z: float(max) });
const time = fc.double({ min: 0, max: 1e13, noNaN: true });
const tangent = fc.float({ min: Math.fround(0.1), max: 5, noNaN: true });
const eye = fc.record({
  offset: vector(0.5),
  fieldOfView: fc.record({ left: tangent, right: tangent, up: tangent, down: tangent }),
});
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const uint16 = fc.integer({ min: 0, max: 0xffff });

t.test("a pose is read as it was written", async (t) => {
  fc.assert(
    fc.property(
      fc.record({
        poseId: uint32,
        sampledAtMs: time,
        position: vector(1000),
        orientation: fc.constantFrom(
          { x: 0, y: 0, z: 0, w: 1 },
          { x: 0, y: 1, z: 0, w: 0 },
          { x: 0, y: 0, z: -1, w: 0 },
        ),
        eyes: fc.tuple(eye, eye),
      }),
      (pose) => t.same(decodePose(encodePose(pose)), pose),
    ),
  );
});

t.test(
  "bytes that are no pose, frame, fragment or control message are media-invalid, never another error",
  async (t) => {
    const refuses = (read: () => unknown): void => {
      try {
        read();
      } catch (error) {
        if (!isFailure(error, "media-invalid")) throw error;
      }
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1200 }), fc.integer({ min: 0, max: 4 }), (bytes, type) => {
        bytes.set([type, 1].slice(0, bytes.length));
        refuses(() => decodePose(bytes));
        refuses(() => decodeFrame(bytes));
        refuses(() => new FrameAssembler().add(bytes));
        refuses(() => decodeControl(new TextDecoder().decode(bytes)));
      }),
    );
    const nan = encodePose({
      poseId: 1,
      sampledAtMs: 1,
      position: { x: Number.NaN, y: 0, z: 0 },
      orientation: { x: 0, y: 0, z: 0, w: 1 },
      eyes: [0, 1].map(() => ({
        offset: { x: 0, y: 0, z: 0 },
        fieldOfView: { left: 1, right: 1, up: 1, down: 1 },
      })) as never,
    });
    t.throws(() => decodePose(nan), { code: "media-invalid" });
  },
);

t.test("a frame is read as it was written", async (t) => {
  fc.assert(
    fc.property(
      fc.record({
        frameNumber: uint32,
        codec: fc.constantFrom(...CODECS),
        key: fc.boolean(),
        eyeWidthPixels: uint16,
        eyeHeightPixels: uint16,
        poseId: uint32,
        poseSampledAtMs: time,
        poseReceivedAtMs: time,
        renderStartedAtMs: time,
        renderedAtMs: time,
        encodedAtMs: time,
        sentAtMs: time,
      }),
      fc.uint8Array({ maxLength: 4000 }),
      (header, accessUnit) => {
        const back = decodeFrame(encodeFrame({ header, accessUnit }));
        t.same(back.header, header);
        t.same([...back.accessUnit], [...accessUnit]);
      },
    ),
    { numRuns: 30 },
  );
});

t.test("one loss in each parity group is repaired, in any order of arrival", async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30_000 }), fc.nat(), fc.infiniteStream(fc.nat()), (length, start, order) => {
      const bytes = Uint8Array.from({ length }, (_, at) => (at * 31 + start) & 255);
      const fragments = cutFragments(7, bytes);
      const dataCount = Math.ceil(length / 1084);
      const parityCount = fragments.length - dataCount;
      const lost = new Set(Array.from({ length: parityCount }, (_, group) => group));
      const kept = fragments.filter((_, index) => !lost.has(index));
      const shuffled = kept
        .map((fragment) => ({ fragment, key: order.next().value ?? 0 }))
        .sort((a, b) => a.key - b.key);
      const assembler = new FrameAssembler();
      const whole = shuffled.map(({ fragment }) => assembler.add(fragment)).filter((frame) => frame !== undefined);
      t.equal(whole.length, 1, `length ${length}`);
      t.equal(whole[0]?.repaired, lost.size, `length ${length}`);
      t.same(Buffer.from(whole[0]?.bytes ?? []).equals(Buffer.from(bytes)), true, `length ${length}`);
      t.ok(fragments.every((fragment) => fragment.byteLength <= FRAGMENT_BYTES_MAX));
    }),
    { numRuns: 40 },
  );
});

t.test("a frame with two losses in one group is given up, and the next is whole", async (t) => {
  const assembler = new FrameAssembler();
  const first = cutFragments(1, new Uint8Array(9000));
  for (const fragment of first.slice(0, 1)) t.equal(assembler.add(fragment), undefined);
  const frames = cutFragments(2, new Uint8Array(3000).fill(9)).map((fragment) => assembler.add(fragment));
  t.equal(frames.filter((frame) => frame !== undefined).length, 1);
  t.equal(assembler.add(first[1] ?? new Uint8Array()), undefined);
});

t.test("a control message is read as it was written", async (t) => {
  const messages: ControlMessage[] = [
    { type: "keyframe-request" },
    { type: "heartbeat" },
    { type: "echo-request", content: "a".repeat(ECHO_CHARACTERS_MAX) },
    { type: "echo", content: "" },
    { type: "session-end", reason: "client left" },
    { type: "statistics", framesRendered: 3, renderMsP95: 4.5, encodeMsP95: 1 },
  ];
  for (const message of messages) t.same(decodeControl(encodeControl(message)), message, message.type);
  const long = encodeControl({ type: "echo-request", content: "a".repeat(ECHO_CHARACTERS_MAX + 1) });
  t.throws(() => decodeControl(long), { code: "media-invalid" });
});
