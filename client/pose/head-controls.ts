/** Moves the emulated head by mouse, touch and keyboard. */
import { type EmulatedHead, FORWARD, moveTo, walk } from "./emulated-head.ts";

const DEGREES_PER_PIXEL = 0.2;
const TURN_DEGREES = 5;
const STEP_METRES = 0.25;

export interface HeadControls {
  current(): EmulatedHead;
  moveTo(wish: Partial<EmulatedHead>): void;
}

/** The element takes focus: arrows turn, W A S D walk, dragging looks around. */
export function listenForHead(element: HTMLElement): HeadControls {
  let head = FORWARD;
  const turn = (right: number, up: number): void => {
    head = moveTo(head, { yawDegrees: head.yawDegrees + right, pitchDegrees: head.pitchDegrees + up });
  };
  const actions: Readonly<Record<string, () => void>> = {
    ArrowLeft: () => turn(-TURN_DEGREES, 0),
    ArrowRight: () => turn(TURN_DEGREES, 0),
    ArrowUp: () => turn(0, TURN_DEGREES),
    ArrowDown: () => turn(0, -TURN_DEGREES),
    KeyW: () => walkBy(0, STEP_METRES),
    KeyS: () => walkBy(0, -STEP_METRES),
    KeyA: () => walkBy(-STEP_METRES, 0),
    KeyD: () => walkBy(STEP_METRES, 0),
    Home: () => {
      head = FORWARD;
    },
  };
  const walkBy = (right: number, ahead: number): void => {
    head = walk(head, { right, ahead });
  };
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = actions[event.code];
    if (act === undefined) return;
    event.preventDefault();
    act();
  });
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    element.focus();
  });
  element.addEventListener("pointermove", (event) => {
    if (!element.hasPointerCapture(event.pointerId)) return;
    // The scene is dragged along: to the left turns the head to the right.
    turn(-event.movementX * DEGREES_PER_PIXEL, event.movementY * DEGREES_PER_PIXEL);
  });
  return {
    current: () => head,
    moveTo(wish) {
      head = moveTo(head, wish);
    },
  };
}
