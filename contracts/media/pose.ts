/** The head pose that a client sends, as bytes: little endian, 100 bytes, one per message. Pure; the same file in the browser. */
import { Failure } from "#domain/failure.ts";

export interface Vector3 {
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

/** A unit quaternion; WebXR's axes: right-handed, -z forward, y up. */
export interface Quaternion extends Vector3 {
  readonly w: number;
}

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
}

export const POSE_BYTES = 100;
const POSE_TYPE = 1;
const POSE_VERSION = 1;
/** A room and then some: farther is a broken tracker, and 32-bit floats lose a millimetre at 16 km. */
export const POSITION_METRES_MAX = 10_000;
/** 84 degrees to each side. */
export const TANGENT_MAX = 10;
export const EYE_OFFSET_METRES_MAX = 1;

export function encodePose(pose: PoseMessage): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(POSE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, POSE_TYPE);
  view.setUint8(1, POSE_VERSION);
  view.setUint32(4, pose.poseId, true);
  view.setFloat64(8, pose.sampledAtMs, true);
  const floats = [
    ...[pose.position.x, pose.position.y, pose.position.z],
    ...[pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w],
    ...pose.eyes.flatMap(eyeFloats),
  ];
  for (const [index, value] of floats.entries()) view.setFloat32(16 + index * 4, value, true);
  return bytes;
}

/** Throws `media-invalid` for a wrong length, a version it does not know, or numbers that are no pose. */
export function decodePose(bytes: Uint8Array): PoseMessage {
  if (bytes.byteLength !== POSE_BYTES) throw invalid(`must have ${POSE_BYTES} bytes, got ${bytes.byteLength}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) !== POSE_TYPE || view.getUint8(1) !== POSE_VERSION)
    throw invalid("must be of type 1, version 1");
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
  };
  checkVector(pose.position, POSITION_METRES_MAX, "position");
  for (const one of pose.eyes) checkEye(one);
  return pose;
}

function eyeFloats(eye: EyePose): number[] {
  const { offset, fieldOfView: fov } = eye;
  return [offset.x, offset.y, offset.z, fov.left, fov.right, fov.up, fov.down];
}

function unit(q: Quaternion): Quaternion {
  const length = Math.hypot(q.x, q.y, q.z, q.w);
  if (!(length > 0.5 && length < 2)) throw invalid("orientation must be a unit quaternion");
  return { x: q.x / length, y: q.y / length, z: q.z / length, w: q.w / length };
}

function checkVector(vector: Vector3, max: number, what: string): void {
  for (const value of [vector.x, vector.y, vector.z]) {
    if (!(Math.abs(value) <= max)) throw invalid(`${what} must be within ${max} m, got ${value}`);
  }
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
