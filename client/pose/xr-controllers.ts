/** The controllers of a WebXR frame, as a pose message has them: one a hand, within the message's bounds. Pure. */
import { CONTROLLERS_MAX, type ControllerPose } from "#contracts/media/controllers.ts";
import type { XrInputSource, XrTransform } from "../display/webxr.ts";

/** The places of the WebXR Gamepads module's `xr-standard` mapping. */
const BUTTONS = { trigger: 0, squeeze: 1 } as const;
const AXES = { thumbstickX: 2, thumbstickY: 3 } as const;

/** `poseOf` gives where a source points from, `undefined` while it is not tracked; `floorMetres` as for the head. */
export function controllersOf(
  sources: Iterable<XrInputSource>,
  poseOf: (source: XrInputSource) => XrTransform | undefined,
  floorMetres: number,
): readonly ControllerPose[] {
  const held = new Map<ControllerPose["hand"], ControllerPose>();
  for (const source of sources) {
    const { handedness, gamepad } = source;
    const place = handedness === "none" || held.has(handedness) ? undefined : poseOf(source);
    if (place === undefined || handedness === "none" || held.size === CONTROLLERS_MAX) continue;
    const { position: at, orientation: q } = place;
    held.set(handedness, {
      hand: handedness,
      position: { x: at.x, y: at.y + floorMetres, z: at.z },
      orientation: { x: q.x, y: q.y, z: q.z, w: q.w },
      trigger: within(gamepad?.buttons[BUTTONS.trigger]?.value, 0),
      squeeze: within(gamepad?.buttons[BUTTONS.squeeze]?.value, 0),
      thumbstick: { x: within(gamepad?.axes[AXES.thumbstickX], -1), y: within(gamepad?.axes[AXES.thumbstickY], -1) },
    });
  }
  return [...held.values()];
}

/** Gamepads are not held to their own bounds; what is no number counts as untouched. */
function within(value: number | undefined, min: number): number {
  return value === undefined || Number.isNaN(value) ? 0 : Math.min(Math.max(value, min), 1);
}
