/** The hand of a person without controllers: where the head is and looks; pressing is its trigger. Pure. */
import type { ControllerPose } from "#contracts/media/controllers.ts";
import type { HeadPose } from "./head-pose.ts";

export function withEmulatedHand(head: HeadPose, isPressed: boolean): HeadPose {
  const { position, orientation } = head;
  const thumbstick = { x: 0, y: 0 };
  const pressed = { trigger: isPressed ? 1 : 0, squeeze: 0, thumbstick };
  const hand: ControllerPose = { hand: "right", position, orientation, ...pressed };
  return { ...head, controllers: [hand] };
}
