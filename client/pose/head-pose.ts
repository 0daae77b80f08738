/** Where the head is and what each eye sees: as shown, and a little wider as asked for. Pure. */
import type { ControllerPose } from "#contracts/media/controllers.ts";
import type { EyePose, FieldOfView, GazeDirection, Quaternion, Vector3 } from "#contracts/media/pose.ts";

export interface HeadPose {
  /** Metres from the floor's origin. */
  readonly position: Vector3;
  readonly orientation: Quaternion;
  /** Left, right; the field of view is what is shown. */
  readonly eyes: readonly [EyePose, EyePose];
  readonly controllers?: readonly ControllerPose[];
  /** On a headset. */
  readonly asksFoveation?: boolean;
  readonly gaze?: GazeDirection;
}

/** The head turns while a frame is on its way: at 90 degrees per second and 30 ms by the 2.7 degrees that these 10 % are. */
export const WIDER_RATIO = 1.1;

/** The same head with the field of view that frames are asked for. */
export function widenHead(head: HeadPose): HeadPose {
  const [left, right] = head.eyes;
  return { ...head, eyes: [widenEye(left), widenEye(right)] };
}

function widenEye({ offset, fieldOfView: { left, right, up, down } }: EyePose): EyePose {
  const horizontal = ((left + right) * (WIDER_RATIO - 1)) / 2;
  const vertical = ((up + down) * (WIDER_RATIO - 1)) / 2;
  const fieldOfView: FieldOfView = {
    left: left + horizontal,
    right: right + horizontal,
    up: up + vertical,
    down: down + vertical,
  };
  return { offset, fieldOfView };
}

/** The tangents of a symmetric or skewed perspective projection, column-major as WebXR gives it. */
export function fieldOfViewOf(projection: ArrayLike<number>): FieldOfView {
  const at = (index: number): number => projection[index] ?? 0;
  return {
    left: (1 - at(8)) / at(0),
    right: (1 + at(8)) / at(0),
    up: (1 + at(9)) / at(5),
    down: (1 - at(9)) / at(5),
  };
}
