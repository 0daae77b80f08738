/** The head pose that a client sends, as bytes: little endian, 100 bytes, 48 for each controller and 8 for the gaze, one per message. Pure; the same file in the browser. */
import { Failure } from "#domain/failure.ts";
import {
  CONTROLLER_BYTES,
  CONTROLLERS_MAX,
  type ControllerPose,
  readControllers,
  writeController,
} from "./controllers.ts";
import { isWithin, POSITION_METRES_MAX, type Quaternion, unitOf, type Vector3 } from "./space.ts";

export type { Quaternion, Vector3 };

/** Tangents of the half angles, all positive outward. */
export interface FieldOfView {
  readonly left: number;
  readonly right: number;
  readonly up: number;
  readonly down: number;
}

export interface EyePose {
  /** From the head, in the head's axes, metres. */
  readonly offset: Vector3;
  readonly fieldOfView: FieldOfView;
}

/** Where both eyes look: tangents from straight ahead, in the head's axes, x to the right, y upward. */
export interface GazeDirection {
  readonly x: number;
  readonly y: number;
}

export interface PoseMessage {
  /** Grows by one with each pose of a session, from 1. */
  readonly poseId: number;
  /** The client's clock, epoch milliseconds with fraction. */
  readonly sampledAtMs: number;
  /** Metres. */
  readonly position: Vector3;
  readonly orientation: Quaternion;
  /** Left, right. */
  readonly eyes: readonly [EyePose, EyePose];
  /** Its frame is wanted with depth planes; clients that know none do not ask. */
  readonly asksDepth?: boolean;
  /** Its picture is all that its eyes see, so that where they look ahead the rest may be coarser: a headset's. */
  readonly asksFoveation?: boolean;
  /** Its picture is wanted as JPEG, since its client decodes nothing else. An agent that knows this sends no other. */
  readonly asksJpeg?: boolean;
  /** Held controllers, one a hand; not there where there are none. */
  readonly controllers?: readonly ControllerPose[];
  /** Not there where the client knows none. */
  readonly gaze?: GazeDirection;
}

/** Without controllers and gaze. */
export const POSE_BYTES = 100;
export const GAZE_BYTES = 8;
export const POSE_BYTES_MAX = POSE_BYTES + CONTROLLERS_MAX * CONTROLLER_BYTES + GAZE_BYTES;
const POSE_TYPE = 1;
const POSE_VERSION = 1;
const FLAGS = { asksDepth: 1, asksFoveation: 2, hasGaze: 4, asksJpeg: 8 } as const;
/** 84 degrees to each side. */
export const TANGENT_MAX = 10;
export const EYE_OFFSET_METRES_MAX = 1;

export function encodePose(pose: PoseMessage): Uint8Array<ArrayBuffer> {
  const controllers = (pose.controllers ?? []).slice(0, CONTROLLERS_MAX);
  const gazeAt = POSE_BYTES + controllers.length * CONTROLLER_BYTES;
  const bytes = new Uint8Array(gazeAt + (pose.gaze === undefined ? 0 : GAZE_BYTES));
  const view = new DataView(bytes.buffer);
  view.setUint8(0, POSE_TYPE);
  view.setUint8(1, POSE_VERSION);
  view.setUint8(2, flagsOf(pose));
  view.setUint8(3, controllers.length);
  view.setUint32(4, pose.poseId, true);
  view.setFloat64(8, pose.sampledAtMs, true);
  const floats = [
    ...[pose.position.x, pose.position.y, pose.position.z],
    ...[pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w],
    ...pose.eyes.flatMap(eyeFloats),
  ];
  for (const [index, value] of floats.entries()) view.setFloat32(16 + index * 4, value, true);
  for (const [index, one] of controllers.entries()) writeController(view, POSE_BYTES + index * CONTROLLER_BYTES, one);
  if (pose.gaze !== undefined) {
    view.setFloat32(gazeAt, pose.gaze.x, true);
    view.setFloat32(gazeAt + 4, pose.gaze.y, true);
  }
  return bytes;
}

function flagsOf({ asksDepth, asksFoveation, asksJpeg, gaze }: PoseMessage): number {
  const depth = asksDepth === true ? FLAGS.asksDepth : 0;
  const foveation = asksFoveation === true ? FLAGS.asksFoveation : 0;
  const jpeg = asksJpeg === true ? FLAGS.asksJpeg : 0;
  return depth | foveation | jpeg | (gaze === undefined ? 0 : FLAGS.hasGaze);
}

/** Throws `media-invalid` for a wrong length, a version it does not know, or numbers that are no pose. */
export function decodePose(bytes: Uint8Array): PoseMessage {
  if (bytes.byteLength < POSE_BYTES || bytes.byteLength > POSE_BYTES_MAX)
    throw invalid(`must have ${POSE_BYTES}..${POSE_BYTES_MAX} bytes, got ${bytes.byteLength}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) !== POSE_TYPE || view.getUint8(1) !== POSE_VERSION)
    throw invalid("must be of type 1, version 1");
  const has = (flag: number): boolean => (view.getUint8(2) & flag) !== 0;
  const count = view.getUint8(3);
  const gazeAt = POSE_BYTES + count * CONTROLLER_BYTES;
  const length = gazeAt + (has(FLAGS.hasGaze) ? GAZE_BYTES : 0);
  if (bytes.byteLength !== length) throw invalid(`must have its ${count} controllers, and its gaze where it says so`);
  const float = (index: number): number => view.getFloat32(16 + index * 4, true);
  const vector = (index: number): Vector3 => ({ x: float(index), y: float(index + 1), z: float(index + 2) });
  const eye = (index: number): EyePose => ({
    offset: vector(index),
    fieldOfView: { left: float(index + 3), right: float(index + 4), up: float(index + 5), down: float(index + 6) },
  });
  const sampledAtMs = view.getFloat64(8, true);
  if (!Number.isFinite(sampledAtMs) || sampledAtMs < 0) throw invalid("sample time must be a time");
  const pose: PoseMessage = {
    poseId: view.getUint32(4, true),
    sampledAtMs,
    position: vector(0),
    orientation: unit({ ...vector(3), w: float(6) }),
    eyes: [eye(7), eye(14)],
    ...(has(FLAGS.asksDepth) ? { asksDepth: true } : {}),
    ...(has(FLAGS.asksFoveation) ? { asksFoveation: true } : {}),
    ...(has(FLAGS.asksJpeg) ? { asksJpeg: true } : {}),
    ...(count === 0 ? {} : { controllers: readControllers(view, POSE_BYTES, count) }),
    ...(has(FLAGS.hasGaze) ? { gaze: readGaze(view, gazeAt) } : {}),
  };
  checkVector(pose.position, POSITION_METRES_MAX, "position");
  for (const one of pose.eyes) checkEye(one);
  return pose;
}

function readGaze(view: DataView, offset: number): GazeDirection {
  const gaze = { x: view.getFloat32(offset, true), y: view.getFloat32(offset + 4, true) };
  if (isWithin({ ...gaze, z: 0 }, TANGENT_MAX)) return gaze;
  throw invalid(`gaze must be within ${TANGENT_MAX}, got ${JSON.stringify(gaze)}`);
}

function eyeFloats(eye: EyePose): number[] {
  const { offset, fieldOfView: fov } = eye;
  return [offset.x, offset.y, offset.z, fov.left, fov.right, fov.up, fov.down];
}

function unit(orientation: Quaternion): Quaternion {
  const unit = unitOf(orientation);
  if (unit === undefined) throw invalid("orientation must be a unit quaternion");
  return unit;
}

function checkVector(vector: Vector3, max: number, what: string): void {
  if (!isWithin(vector, max)) throw invalid(`${what} must be within ${max} m, got ${JSON.stringify(vector)}`);
}

function checkEye(eye: EyePose): void {
  checkVector(eye.offset, EYE_OFFSET_METRES_MAX, "eye offset");
  const { left, right, up, down } = eye.fieldOfView;
  for (const value of [left, right, up, down]) {
    if (!(Math.abs(value) <= TANGENT_MAX)) throw invalid(`tangent must be within ${TANGENT_MAX}, got ${value}`);
  }
  if (!(left + right > 0.01 && up + down > 0.01)) throw invalid("field of view must not be empty");
}

function invalid(what: string): Failure {
  return new Failure("media-invalid", `pose message: ${what}`);
}
