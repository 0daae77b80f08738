/** What is seen of a person's hands in a WebXR frame: the controllers they hold, and hands that are tracked. Pure. */
import type { Bone, SeenHands } from "../display/hand-model.ts";
import type { XrFrame, XrInputSource, XrReferenceSpace } from "../display/webxr.ts";
import { controllersOf } from "./xr-controllers.ts";

const FINGERS = ["index", "middle", "ring", "pinky"] as const;

/** From joint to joint, by the names of the WebXR Hand Input module. */
const BONES: readonly (readonly [string, string])[] = [
  ["thumb-metacarpal", "thumb-phalanx-proximal"],
  ["thumb-phalanx-proximal", "thumb-phalanx-distal"],
  ["thumb-phalanx-distal", "thumb-tip"],
  ...FINGERS.flatMap((finger) => {
    const joint = (name: string): string => `${finger}-finger-${name}`;
    return [
      ["wrist", joint("phalanx-proximal")],
      [joint("phalanx-proximal"), joint("phalanx-intermediate")],
      [joint("phalanx-intermediate"), joint("phalanx-distal")],
      [joint("phalanx-distal"), joint("tip")],
    ] as const;
  }),
];

/** Where a device does not say. */
const JOINT_METRES = 0.009;

/** `floorMetres` as for the head. A source without a grip is not held, and one that is not tracked is nowhere. */
export function seenHandsOf(
  sources: Iterable<XrInputSource>,
  frame: XrFrame,
  space: XrReferenceSpace,
  floorMetres: number,
): SeenHands {
  const all = [...sources];
  const controllers = controllersOf(
    all.filter(({ hand }) => hand === undefined || hand === null),
    ({ gripSpace }) =>
      gripSpace === undefined || gripSpace === null ? undefined : frame.getPose(gripSpace, space)?.transform,
    floorMetres,
  );
  const isFree = ({ handedness }: XrInputSource): boolean => controllers.every(({ hand }) => hand !== handedness);
  const bones = all.flatMap((source) => (isFree(source) ? bonesOf(source, frame, space, floorMetres) : []));
  return { controllers, bones };
}

function bonesOf(
  { hand }: XrInputSource,
  frame: XrFrame,
  space: XrReferenceSpace,
  floorMetres: number,
): readonly Bone[] {
  if (hand === undefined || hand === null) return [];
  const jointOf = (name: string) => {
    const joint = hand.get(name);
    const pose = joint === undefined ? undefined : frame.getJointPose?.(joint, space);
    if (pose === undefined || pose === null) return undefined;
    const { x, y, z } = pose.transform.position;
    return { at: { x, y: y + floorMetres, z }, radiusMetres: pose.radius ?? JOINT_METRES };
  };
  return BONES.flatMap(([first, second]) => {
    const [from, to] = [jointOf(first), jointOf(second)];
    if (from === undefined || to === undefined) return [];
    return [{ from: from.at, to: to.at, radiusMetres: (from.radiusMetres + to.radiusMetres) / 2 }];
  });
}
