/** Fuzzes poses, control messages and whole frames: what clients and agents say to each other. */
import { createReceiver } from "#client/media/receiver.ts";
import {
  type ControlMessage,
  decodeControl,
  ECHO_CHARACTERS_MAX,
  encodeControl,
  type FrameReport,
  REPORTED_FRAGMENTS_MAX,
  SDP_CHARACTERS_MAX,
  STRIPES_MAX,
} from "#contracts/media/control.ts";
import { HANDS } from "#contracts/media/controllers.ts";
import { DEPTH_CELLS_MAX } from "#contracts/media/depth-plane.ts";
import { depthCellsOf, depthShapeOf } from "#contracts/media/depth-shape.ts";
import { CODECS, decodeFrame, encodeFrame, FRAME_BYTES_MAX, type Frame } from "#contracts/media/frame.ts";
import {
  HELD_DISTANCE_METRES_MAX,
  HELD_EXTENT_METRES_MAX,
  HELD_VERTICES_MAX,
  type HeldObject,
  HOLDS_MAX,
} from "#contracts/media/held-object.ts";
import { decodePose, EYE_OFFSET_METRES_MAX, encodePose, type PoseMessage, TANGENT_MAX } from "#contracts/media/pose.ts";
import { isWithin, POSITION_METRES_MAX, type Quaternion, type Vector3 } from "#contracts/media/space.ts";
import type { Random } from "#platform/random.ts";
import {
  BITS_PER_SECOND_FLOOR,
  firstRate,
  nextRate,
  qualityOf,
  type RateEvent,
} from "#render-agent/session/rate-control.ts";
import { PARITY_RATIO_MAX, PARITY_RATIO_MIN, ParityShare } from "#render-agent/transport/parity-share.ts";
import { isOnceIn, mutatedBytes, mutatedJson, mutatedText, pick } from "./mutations.ts";
import { check, type FuzzTarget, isIn, type Outcome, readOrRefused } from "./target.ts";

const FLOATS = [0, 1, -1, 0.5, 1e-40, 1e38, 10, 10_001, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
const REPORTS = 12;
const BOUNDS = { bitsPerSecondMax: 8_000_000, pixels: 2 * 480 * 540, frameRateHz: 60, bitsPerPixelMin: 0.03 };

export const MEDIA_MESSAGES: readonly FuzzTarget[] = [
  { name: "pose", share: 200, run: tryPose },
  { name: "control", share: 200, run: tryControl },
  { name: "reports", share: 20, run: tryReports },
  { name: "frame", share: 60, run: tryFrame },
];

function within(random: Random, most: number): number {
  return isOnceIn(random, 200) ? pick(random, FLOATS) : (random.ratio() * 2 - 1) * most;
}

function vectorOf(random: Random, most: number): Vector3 {
  return { x: within(random, most), y: within(random, most), z: within(random, most) };
}

function turnOf(random: Random): Quaternion {
  const angle = random.ratio() * Math.PI;
  const w = isOnceIn(random, 200) ? pick(random, FLOATS) : Math.cos(angle);
  return { x: 0, y: Math.sin(angle), z: 0, w };
}

function poseOf(random: Random): PoseMessage {
  const eye = () => ({
    offset: vectorOf(random, 0.1),
    fieldOfView: { left: 1, right: 1 + within(random, 0.5), up: within(random, 2), down: 1 },
  });
  const hands = HANDS.filter(() => isOnceIn(random, 2));
  const controllers = hands.map((hand) => ({
    ...{ hand, position: vectorOf(random, 3), orientation: turnOf(random) },
    ...{ trigger: random.ratio(), squeeze: random.ratio(), thumbstick: { x: within(random, 1), y: within(random, 1) } },
  }));
  return {
    poseId: random.integer(2 ** 32),
    sampledAtMs: isOnceIn(random, 20) ? pick(random, FLOATS) : random.ratio() * 2e12,
    position: vectorOf(random, 5),
    orientation: turnOf(random),
    eyes: [eye(), eye()],
    asksDepth: isOnceIn(random, 2),
    controllers,
  };
}

function tryPose(random: Random): Outcome {
  const valid = encodePose(poseOf(random));
  const bytes = isOnceIn(random, 4)
    ? valid
    : isOnceIn(random, 50)
      ? random.bytes(random.integer(260))
      : mutatedBytes(random, valid);
  const pose = readOrRefused(() => decodePose(bytes), "media-invalid");
  if (pose === undefined) return "refused";
  check(Number.isFinite(pose.sampledAtMs) && pose.sampledAtMs >= 0, "a time that is none");
  check(isWithin(pose.position, POSITION_METRES_MAX) && isUnit(pose.orientation), "a head that is nowhere");
  for (const { offset, fieldOfView: fov } of pose.eyes) {
    check(isWithin(offset, EYE_OFFSET_METRES_MAX), "an eye far away");
    check(
      Object.values(fov).every((tangent) => isIn(tangent, -TANGENT_MAX, TANGENT_MAX)),
      "a field of view too wide",
    );
    check(fov.left + fov.right > 0 && fov.up + fov.down > 0, "an empty field of view");
  }
  const { controllers = [] } = pose;
  check(new Set(controllers.map(({ hand }) => hand)).size === controllers.length, "a hand twice");
  for (const { position, orientation, trigger, squeeze, thumbstick } of controllers) {
    check(isWithin(position, POSITION_METRES_MAX) && isUnit(orientation), "a hand that is nowhere");
    check(isIn(trigger, 0, 1) && isIn(squeeze, 0, 1) && isWithin({ ...thumbstick, z: 0 }, 1), "keys beyond their ends");
  }
  return "taken";
}

function isUnit({ x, y, z, w }: Quaternion): boolean {
  return Math.abs(Math.hypot(x, y, z, w) - 1) < 1e-6;
}

function controlOf(random: Random): ControlMessage {
  const stripe = 1 + random.integer(STRIPES_MAX - 1);
  switch (random.integer(17)) {
    case 0:
      return { type: "keyframe-request" };
    case 1:
      return { type: "heartbeat" };
    case 2:
      return { type: "echo-request", content: "a".repeat(random.integer(ECHO_CHARACTERS_MAX + 2)) };
    case 3:
      return { type: "echo", content: "YWJj" };
    case 4:
      return { type: "loss-report", fragmentsReceived: random.integer(2_000), fragmentsLost: random.integer(2_000) };
    case 5:
      return { type: "stripe-request", connections: 1 + random.integer(STRIPES_MAX) };
    case 6:
      return { type: "stripe-offer", stripe, sdp: sdpOf(random) };
    case 7:
      return { type: "stripe-answer", stripe, sdp: "v=0\r\n" };
    case 8:
      return { type: "frame-report", ...reportOf(random) };
    case 9:
      return { type: "session-end", reason: "client left" };
    case 10:
      return { type: "held-object", ...heldOf(random) };
    case 11:
      return { type: "held-ready", hand: "left", hold: random.integer(HOLDS_MAX + 2) };
    case 12:
      return { type: "audio-wish", isWanted: isOnceIn(random, 2) };
    case 13:
      return { type: "audio-state", isThere: false, because: "none here".repeat(random.integer(40)) };
    case 14:
    case 15:
      return { type: pick(random, ["audio-offer", "audio-answer"]), sdp: sdpOf(random) };
    default:
      return {
        type: "statistics",
        framesRendered: 30,
        renderMsP95: random.ratio() * 9,
        encodeMsP95: 1,
        framesHeldBack: 0,
      };
  }
}

function heldOf(random: Random): HeldObject {
  const vertices = random.integer(isOnceIn(random, 20) ? HELD_VERTICES_MAX + 2 : 8);
  const parts = Array.from({ length: vertices * 3 }, () => random.ratio() * 2 - 1);
  return {
    ...{ hand: "right", hold: 1 + random.integer(HOLDS_MAX), orientation: { x: 0, y: 0, z: 0, w: 1 } },
    ...{ position: { x: random.ratio() * 11, y: 0, z: 0 }, colour: [random.ratio(), 0, 1], glowRatio: random.ratio() },
    ...{ positions: parts, normals: parts, triangles: [0, random.integer(8), random.integer(8)] },
  };
}

function sdpOf(random: Random): string {
  return "v=0\r\n".repeat(random.integer(isOnceIn(random, 50) ? 3_000 : 8));
}

function reportOf(random: Random): FrameReport {
  const [newestFrame, framesArrived] = [random.integer(isOnceIn(random, 20) ? 2 ** 32 : 400), random.integer(20)];
  const spanMs = isOnceIn(random, 10) ? random.ratio() * 60_000 : random.ratio() * 200;
  const networkMsMin = isOnceIn(random, 10) ? random.ratio() * 60_000 : random.ratio() * 60;
  return { newestFrame, framesArrived, bytes: random.integer(500_000), spanMs, networkMsMin };
}

/** Half of a surrogate pair does not come through: the way is UTF-8. */
function textOf(random: Random, message: ControlMessage): string {
  if (isOnceIn(random, 3)) return mutatedText(random, encodeControl(message)).toWellFormed();
  return JSON.stringify(isOnceIn(random, 5) ? message : mutatedJson(random, message));
}

function tryControl(random: Random): Outcome {
  const text = textOf(random, controlOf(random));
  const message = readOrRefused(() => decodeControl(text), "media-invalid");
  if (message === undefined) return "refused";
  checkControl(message);
  // JSON writes -0 as 0: what is compared is what was written.
  const written = encodeControl(message);
  check(encodeControl(decodeControl(written)) === written, "it is not read as it was taken");
  return "taken";
}

function isHeldWithin({ positions, normals, triangles, position, orientation, hold }: HeldObject): boolean {
  const vertices = positions.length / 3;
  return (
    isIn(vertices, 1, HELD_VERTICES_MAX) &&
    normals.length === positions.length &&
    positions.every((part) => isIn(part, -HELD_EXTENT_METRES_MAX, HELD_EXTENT_METRES_MAX)) &&
    normals.every((part) => isIn(part, -1, 1)) &&
    triangles.every((index) => Number.isInteger(index) && isIn(index, 0, vertices - 1)) &&
    [position.x, position.y, position.z].every((part) => Math.abs(part) <= HELD_DISTANCE_METRES_MAX) &&
    isIn(Math.hypot(orientation.x, orientation.y, orientation.z, orientation.w), 0.999, 1.001) &&
    isIn(hold, 1, HOLDS_MAX)
  );
}

function checkControl(message: ControlMessage): void {
  if (message.type === "held-object") {
    check(isHeldWithin(message), "a held object beyond its bounds");
    return;
  }
  for (const [name, value] of Object.entries(message))
    check(typeof value !== "number" || Number.isFinite(value), `${name} is ${String(value)}`);
  check(isControlWithin(message), `${message.type} beyond its bounds`);
}

function isControlWithin(message: ControlMessage): boolean {
  switch (message.type) {
    case "echo":
    case "echo-request":
      return message.content.length <= ECHO_CHARACTERS_MAX;
    case "loss-report":
      return [message.fragmentsLost, message.fragmentsReceived].every((count) =>
        isIn(count, 0, REPORTED_FRAGMENTS_MAX),
      );
    case "stripe-request":
      return isIn(message.connections, 1, STRIPES_MAX);
    case "stripe-offer":
    case "stripe-answer":
      return isIn(message.stripe, 1, STRIPES_MAX - 1) && message.sdp.length <= SDP_CHARACTERS_MAX;
    case "audio-wish":
      return typeof message.isWanted === "boolean";
    case "audio-state":
      return typeof message.isThere === "boolean" && message.because.length <= 200;
    case "audio-offer":
    case "audio-answer":
      return message.sdp.length <= SDP_CHARACTERS_MAX;
    case "session-end":
      return message.reason.length <= 200;
    default:
      return true;
  }
}

/** Whatever a client reports, its session's bit rate and parity stay within their bounds. */
function tryReports(random: Random): Outcome {
  const parity = new ParityShare();
  let [state, nowMs, sentFrame, taken] = [firstRate(BOUNDS), 1_000, 0, 0];
  for (let index = 0; index < REPORTS; index += 1) {
    nowMs += random.integer(isOnceIn(random, 10) ? 40_000 : 200);
    sentFrame += random.integer(10);
    const event = rateEventOf(random, parity);
    if (event === undefined) continue;
    taken += 1;
    state = nextRate(state, event, { nowMs, sentFrame }, BOUNDS);
    const { bitsPerSecond, scaleRatio, frameRateHz } = qualityOf(state, BOUNDS);
    check(isIn(bitsPerSecond, BITS_PER_SECOND_FLOOR, BOUNDS.bitsPerSecondMax), `${bitsPerSecond} bit/s`);
    check(isIn(scaleRatio, 0.5, 1) && isIn(frameRateHz, 30, 60), `${scaleRatio} at ${frameRateHz} Hz`);
    check(isIn(parity.ratio, PARITY_RATIO_MIN, PARITY_RATIO_MAX), `parity ${parity.ratio}`);
  }
  return taken > 0 ? "taken" : "refused";
}

function rateEventOf(random: Random, parity: ParityShare): RateEvent | undefined {
  if (isOnceIn(random, 6)) return { kind: pick(random, ["dropped", "unanswered", "unreported"] as const) };
  const sent: ControlMessage = isOnceIn(random, 4)
    ? { type: "loss-report", fragmentsReceived: random.integer(1_000_001), fragmentsLost: random.integer(1_000_001) }
    : { type: "frame-report", ...reportOf(random) };
  const message = readOrRefused(() => decodeControl(textOf(random, sent)), "media-invalid");
  if (message?.type === "loss-report") parity.add({ received: message.fragmentsReceived, lost: message.fragmentsLost });
  return message?.type === "frame-report" ? { kind: "report", report: message } : undefined;
}

function frameOf(random: Random): Frame {
  const [eyeWidthPixels, eyeHeightPixels] = [16 * (1 + random.integer(12)), 16 * (1 + random.integer(12))];
  const cells = depthCellsOf(depthShapeOf({ eyeWidthPixels, eyeHeightPixels }));
  const at = () => random.ratio() * 2e12;
  return {
    header: {
      ...{
        frameNumber: 1 + random.integer(50),
        codec: pick(random, CODECS),
        key: isOnceIn(random, 3),
        poseId: random.integer(99),
      },
      ...{ eyeWidthPixels, eyeHeightPixels, poseSampledAtMs: at(), poseReceivedAtMs: at(), renderStartedAtMs: at() },
      ...{ renderedAtMs: at(), encodedAtMs: at(), sentAtMs: at() },
    },
    accessUnit: random.bytes(random.integer(60)),
    ...(isOnceIn(random, 2) ? {} : { depth: Uint8Array.from({ length: cells }, (_, cell) => (cell * 3) & 255) }),
  };
}

function tryFrame(random: Random): Outcome {
  const valid = encodeFrame(frameOf(random));
  const bytes = isOnceIn(random, 6) ? valid : mutatedBytes(random, valid);
  const frame = readOrRefused(() => decodeFrame(bytes), "media-invalid");
  checkReceiver(bytes, frame !== undefined);
  if (frame === undefined) return "refused";
  const { header, accessUnit, depth } = frame;
  check(
    Object.values(header).every((value) => typeof value !== "number" || Number.isFinite(value)),
    "a number that is none",
  );
  check(accessUnit.byteLength <= FRAME_BYTES_MAX, "a long access unit");
  const cells = depth === undefined ? 0 : depthCellsOf(depthShapeOf(header));
  check((depth?.byteLength ?? 0) === cells && cells <= DEPTH_CELLS_MAX, "depth planes of another size");
  return "taken";
}

/** A client's receiver counts what is no frame, hands over what is one, and throws for neither. */
function checkReceiver(bytes: Uint8Array<ArrayBuffer>, isFrame: boolean): void {
  let arrived = 0;
  const receiver = createReceiver<{ close(): void }>({
    nowMs: () => 1,
    openDecoder: () => ({ queue: 0, decode: () => undefined, close: () => undefined }),
    requestKeyFrame: () => undefined,
    onArrived() {
      arrived += 1;
    },
    onDecoded: () => undefined,
  });
  receiver.addFrame(bytes, 0);
  receiver.addFrame(bytes, 0);
  const times = isFrame ? 2 : 0;
  check(arrived === times && receiver.counts().messagesInvalid === 2 - times, `the receiver took ${arrived} of 2`);
}
