/** The media protocol: what is written is read, garbage is refused by name. */
import fc from "fast-check";
import t from "tap";
import { isFailure } from "#domain/failure.ts";
import {
  CONTROL_BYTES_MAX,
  type ControlMessage,
  decodeControl,
  ECHO_CHARACTERS_MAX,
  encodeControl,
  REPORTED_FRAGMENTS_MAX,
  SDP_CHARACTERS_MAX,
  STRIPES_MAX,
} from "./control.ts";
import { FrameAssembler } from "./fragments.ts";
import { CODECS, decodeFrame, encodeFrame } from "./frame.ts";
import {
  HELD_EXTENT_METRES_MAX,
  HELD_TRIANGLES_MAX,
  HELD_VERTICES_MAX,
  type HeldObject,
  HOLDS_MAX,
  type HoldNumbers,
} from "./held-object.ts";
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
      (pose) => {
        t.same(decodePose(encodePose(pose)), pose);
        t.same(decodePose(encodePose({ ...pose, asksDepth: true })), { ...pose, asksDepth: true });
      },
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
      fc.property(
        fc.uint8Array({ maxLength: 1200 }),
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 1, max: 2 }),
        (bytes, type, version) => {
          bytes.set([type, version].slice(0, bytes.length));
          refuses(() => decodePose(bytes));
          refuses(() => decodeFrame(bytes));
          refuses(() => new FrameAssembler().add(bytes));
          refuses(() => decodeControl(new TextDecoder().decode(bytes)));
        },
      ),
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
        without: fc.constantFrom<HoldNumbers>([0, HOLDS_MAX], [3, 0], [1, 2]),
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

const CANDIDATE = "a=candidate:1 1 UDP 2122317823 192.0.2.7 50000 typ host\r\n";

/** With as many digits as an agent writes. */
const LARGEST: HeldObject = {
  ...{ hand: "left", hold: 1, position: { x: -9.1234, y: 0, z: 1 }, orientation: { x: 0, y: 0, z: 0, w: 1 } },
  ...{ colour: [0.123, 0.456, 1], glowRatio: 0.15 },
  positions: Array.from({ length: HELD_VERTICES_MAX * 3 }, () => -1.2345),
  normals: Array.from({ length: HELD_VERTICES_MAX * 3 }, () => -0.57),
  triangles: Array.from({ length: HELD_TRIANGLES_MAX * 3 }, () => HELD_VERTICES_MAX - 1),
};

t.test("a held object that is none is refused, and the largest is a message", async (t) => {
  const written = encodeControl({ type: "held-object", ...LARGEST });
  t.ok(written.length <= CONTROL_BYTES_MAX, `${written.length} characters`);
  const wrong: readonly object[] = [
    { hand: "third" },
    ...[0, 1.5, HOLDS_MAX + 1, "1", undefined].map((hold) => ({ hold })),
    ...[{ x: 0, y: 0 }, { x: 11, y: 0, z: 0 }, { x: "0", y: 0, z: 0 }, null, [0, 0, 0]].map((position) => ({
      position,
    })),
    ...[{ x: 0, y: 0, z: 0, w: 0 }, { x: 9, y: 0, z: 0, w: 1 }, 7].map((orientation) => ({ orientation })),
    ...[[1, 1], [1, 1, 1.1], [1, 1, null], "red"].map((colour) => ({ colour })),
    ...[-0.1, 2, "1", null].map((glowRatio) => ({ glowRatio })),
    ...[[], [0, 0], [...LARGEST.positions, 0, 0, 0], [0, 0, HELD_EXTENT_METRES_MAX + 0.1], [0, 0, "0"]].map(
      (positions) => ({ positions, normals: positions, triangles: [0, 0, 0] }),
    ),
    ...[[0, 0, 0], LARGEST.normals.map(() => 1.1), {}].map((normals) => ({ normals })),
    ...[[], [0, 1], [0, 1, HELD_VERTICES_MAX], [0, 1, -1], [0, 1, 0.5], [...LARGEST.triangles, 0, 0, 0]].map(
      (triangles) => ({ triangles }),
    ),
  ];
  for (const change of wrong) {
    const text = JSON.stringify({ type: "held-object", ...LARGEST, ...change });
    t.throws(() => decodeControl(text), { code: "media-invalid" }, JSON.stringify(change).slice(0, 80));
  }
  for (const change of [{ hand: "none" }, { hold: 0 }]) {
    const text = JSON.stringify({ type: "held-ready", hand: "left", hold: 1, ...change });
    t.throws(() => decodeControl(text), { code: "media-invalid" }, text);
  }
});

t.test("a control message is read as it was written", async (t) => {
  const messages: ControlMessage[] = [
    { type: "keyframe-request" },
    { type: "heartbeat" },
    { type: "echo-request", content: "a".repeat(ECHO_CHARACTERS_MAX) },
    { type: "echo", content: "" },
    { type: "frame-report", newestFrame: 7, framesArrived: 3, bytes: 36_000, spanMs: 100.5, networkMsMin: 11.25 },
    { type: "session-end", reason: "client left" },
    { type: "statistics", framesRendered: 3, renderMsP95: 4.5, encodeMsP95: 1 },
    { type: "statistics", framesRendered: 3, renderMsP95: 4.5, encodeMsP95: 1, framesHeldBack: 2 },
    { type: "loss-report", fragmentsReceived: 120, fragmentsLost: 2 },
    { type: "stripe-request", connections: STRIPES_MAX },
    { type: "stripe-offer", stripe: 1, sdp: CANDIDATE.repeat(SDP_CHARACTERS_MAX / CANDIDATE.length) },
    { type: "stripe-answer", stripe: STRIPES_MAX - 1, sdp: "v=0\r\n" },
    { type: "audio-wish", isWanted: true },
    { type: "audio-state", isThere: false, because: "its scene has no sounds" },
    { type: "audio-offer", sdp: "v=0\r\n" },
    { type: "audio-answer", sdp: "v=0\r\n" },
    { type: "held-wish" },
    { type: "held-object", ...LARGEST },
    { type: "held-ready", hand: "right", hold: HOLDS_MAX },
  ];
  for (const message of messages) t.strictSame(decodeControl(encodeControl(message)), message, message.type);
  const report = {
    type: "frame-report",
    newestFrame: 7,
    framesArrived: 3,
    bytes: 36_000,
    spanMs: 100,
    networkMsMin: 11,
  };
  const wrong = [
    { newestFrame: -1 },
    { framesArrived: 1e9 },
    { bytes: "1" },
    { spanMs: null },
    { networkMsMin: 1e300 },
  ];
  for (const change of wrong) {
    const text = JSON.stringify({ ...report, ...change });
    t.throws(() => decodeControl(text), { code: "media-invalid" }, text);
  }
  const long = encodeControl({ type: "echo-request", content: "a".repeat(ECHO_CHARACTERS_MAX + 1) });
  t.throws(() => decodeControl(long), { code: "media-invalid" });
});

t.test("the reason of an end is words, and cut where it is long", async (t) => {
  const end = (reason: string) => decodeControl(`{"type":"session-end","reason":${reason}}`);
  t.same(end('"done"'), { type: "session-end", reason: "done" });
  t.same(end(JSON.stringify("a".repeat(900))), { type: "session-end", reason: "a".repeat(200) });
  const deep = "[".repeat(8_000) + "]".repeat(8_000);
  for (const reason of ["null", "7", '{"toString":1,"valueOf":1}', deep])
    t.throws(() => end(reason), { code: "media-invalid" }, reason.slice(0, 40));
});

t.test("stripes, session descriptions and losses beyond their bounds are refused", async (t) => {
  const sdp = "v=0";
  const bad = [
    { type: "stripe-offer", stripe: 0, sdp },
    { type: "stripe-offer", stripe: STRIPES_MAX, sdp },
    { type: "stripe-offer", stripe: 1.5, sdp },
    { type: "stripe-offer", stripe: 1, sdp: "v".repeat(SDP_CHARACTERS_MAX + 1) },
    { type: "stripe-answer", stripe: 1 },
    { type: "audio-wish" },
    { type: "audio-wish", isWanted: 1 },
    { type: "audio-state", because: "" },
    { type: "audio-offer", sdp: "v".repeat(SDP_CHARACTERS_MAX + 1) },
    { type: "audio-answer", sdp: 0 },
    { type: "stripe-request", connections: STRIPES_MAX + 1 },
    { type: "stripe-request", connections: 0 },
    { type: "loss-report", fragmentsReceived: -1, fragmentsLost: 0 },
    { type: "loss-report", fragmentsReceived: 1, fragmentsLost: 0.5 },
    { type: "loss-report", fragmentsReceived: 1, fragmentsLost: REPORTED_FRAGMENTS_MAX + 1 },
  ];
  for (const message of bad) {
    const text = JSON.stringify(message);
    t.throws(() => decodeControl(text), { code: "media-invalid" }, text.slice(0, 80));
  }
});
