/** Moves the emulated head by mouse, touch and keyboard; pressing is what its hand does. */
import { type EmulatedHead, FORWARD, moveTo, walk } from "./emulated-head.ts";

const DEGREES_PER_PIXEL = 0.2;
const TURN_DEGREES = 5;
const STEP_METRES = 0.25;

export interface HeadControls {
  current(): EmulatedHead;
  moveTo(wish: Partial<EmulatedHead>): void;
  /** A pointer is down, or the space bar is. */
  isPressed(): boolean;
}

/** The element takes focus: arrows turn, W A S D walk, dragging looks around, the space bar presses; until the signal. */
export function listenForHead(element: HTMLElement, signal: AbortSignal): HeadControls {
  let head = FORWARD;
  const pressing = new Set<string>();
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
  const on = <E extends keyof HTMLElementEventMap>(type: E, listener: (event: HTMLElementEventMap[E]) => void): void =>
    element.addEventListener(type, listener, { signal });
  on("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.code === "Space") {
      pressing.add("key");
      event.preventDefault();
    }
    const act = actions[event.code];
    if (act === undefined) return;
    event.preventDefault();
    act();
  });
  on("keyup", ({ code }) => {
    if (code === "Space") pressing.delete("key");
  });
  on("blur", () => pressing.clear());
  for (const end of ["pointerup", "pointercancel"] as const) on(end, () => pressing.delete("pointer"));
  on("pointerdown", (event) => {
    pressing.add("pointer");
    element.setPointerCapture(event.pointerId);
    element.focus();
  });
  on("pointermove", (event) => {
    if (!element.hasPointerCapture(event.pointerId)) return;
    // The scene is dragged along: to the left turns the head to the right.
    turn(-event.movementX * DEGREES_PER_PIXEL, event.movementY * DEGREES_PER_PIXEL);
  });
  return {
    current: () => head,
    isPressed: () => pressing.size > 0,
    moveTo(wish) {
      head = moveTo(head, wish);
    },
  };
}
