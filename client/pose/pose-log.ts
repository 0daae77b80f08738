/** Numbers the poses of a client and remembers the last ones, so that a frame's pose is found again by its number. Pure. */
import { encodePose, type PoseMessage } from "#contracts/media/pose.ts";
import { type HeadPose, widenHead } from "./head-pose.ts";

/** Five seconds at 90 Hz: a frame that is older is no longer worth showing. */
export const POSES_KEPT_MAX = 450;

export interface PoseLog {
  /** The pose to send for what is shown now, with the wider field and the depth that frames are asked for. */
  next(head: HeadPose, sampledAtMs: number): { readonly pose: PoseMessage; readonly bytes: Uint8Array<ArrayBuffer> };
  find(poseId: number): PoseMessage | undefined;
}

/** What each pose asks for beside depth. */
export type PoseWishes = Pick<PoseMessage, "asksJpeg">;

export function createPoseLog(wishes: PoseWishes = {}): PoseLog {
  const kept: PoseMessage[] = [];
  let poseId = 0;
  return {
    next(head, sampledAtMs) {
      poseId += 1;
      const pose = { poseId, sampledAtMs, ...widenHead(head), ...wishes, asksDepth: true };
      kept[poseId % POSES_KEPT_MAX] = pose;
      return { pose, bytes: encodePose(pose) };
    },
    find(wanted) {
      const pose = kept[wanted % POSES_KEPT_MAX];
      return pose?.poseId === wanted ? pose : undefined;
    },
  };
}
