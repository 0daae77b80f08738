/**
 * How loud a sound is in each ear, by where the head is: the inverse of its distance, as in the inverse model of Web
 * Audio (section 1.27.3), and constant power between left and right. What is behind sounds as what is before: there is
 * no filter of the head's shape. Pure.
 */
import type { Quaternion, Vector3 } from "#contracts/media/space.ts";

/** Nearer than this nothing grows louder. */
export const REFERENCE_METRES = 1;
/** Within it a sound moves to the middle: it is in the head, at no side of it. */
const HEAD_METRES = 0.2;

export interface Head {
  readonly position: Vector3;
  readonly orientation: Quaternion;
}

export interface EarGains {
  readonly left: number;
  readonly right: number;
}

export function earGainsOf(source: Vector3, { position, orientation }: Head): EarGains {
  const away = { x: source.x - position.x, y: source.y - position.y, z: source.z - position.z };
  const distance = Math.hypot(away.x, away.y, away.z);
  const attenuation = REFERENCE_METRES / Math.max(REFERENCE_METRES, distance);
  const side = rightwards(away, orientation) / Math.max(HEAD_METRES, distance);
  const angle = (Math.min(1, Math.max(-1, side)) + 1) * (Math.PI / 4);
  return { left: attenuation * Math.cos(angle), right: attenuation * Math.sin(angle) };
}

/** The part of a direction along the head's x axis. */
function rightwards({ x, y, z }: Vector3, q: Quaternion): number {
  const axis = {
    x: 1 - 2 * (q.y * q.y + q.z * q.z),
    y: 2 * (q.x * q.y + q.w * q.z),
    z: 2 * (q.x * q.z - q.w * q.y),
  };
  return x * axis.x + y * axis.y + z * axis.z;
}
