/** The client's display in a real Chromium: shows a picture to a head, at an age, and gives the pixels of the canvas. */
import Type from "typebox";
import { Value } from "typebox/value";
import type { SeenHands } from "#client/display/hand-model.ts";
import type { HeadPose } from "#client/pose/head-pose.ts";
import { openScriptPage } from "../browser/script-page.ts";
import type { SidePicture } from "./reprojected.ts";

const ENTRY = `
  import { createDisplay } from "./display/display.ts";
  import { solidsOfHands } from "./display/hand-model.ts";
  const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  let [nowMs, pose, shown] = [0, undefined, undefined];
  const display = createDisplay({
    canvas: document.querySelector("canvas"),
    findPose: (poseId) => (poseId === pose?.poseId ? pose : undefined),
    monotonicMs: () => nowMs,
    signal: new AbortController().signal,
  });
  window.show = async ({ pixels, depth, ...header }) => {
    pose = header.pose;
    const size = { codedWidth: header.eyeWidthPixels * 2, codedHeight: header.eyeHeightPixels };
    const picture = new VideoFrame(bytesOf(pixels), { format: "RGBX", timestamp: 0, ...size });
    display.setFrame({
      header: { ...header, poseId: pose.poseId },
      depth: depth === undefined ? undefined : bytesOf(depth),
      picture,
    });
    // Copying takes its time without a GPU; the picture before is closed when the next one has taken its place.
    const isTaken = () => (shown === undefined ? display.lastPoseId() !== undefined : shown.format === null);
    while (!isTaken()) await new Promise(requestAnimationFrame);
    shown = picture;
  };
  window.forget = () => void (pose = undefined);
  const { gl } = display;
  const perspective = ({ left, right, up, down }) => {
    const [width, height] = [left + right, up + down];
    return [2 / width, 0, 0, 0, 0, 2 / height, 0, 0, (right - left) / width, (up - down) / height, -1, -1, 0, 0, -0.1, 0];
  };
  const wear = (head, hands) => {
    const { width, height } = gl.canvas;
    const viewportOf = ({ eye }) => ({ x: eye === "right" ? width / 2 : 0, y: 0, width: width / 2, height });
    const views = ["left", "right"].map((eye, at) => ({
      ...{ eye, projectionMatrix: perspective(head.eyes[at].fieldOfView), transform: head },
    }));
    display.drawInHeadset({ head, views, layer: { framebuffer: null, getViewport: viewportOf }, hands });
  };
  const made = { programs: 0 };
  const createProgram = gl.createProgram;
  gl.createProgram = () => {
    made.programs += 1;
    return createProgram.call(gl);
  };
  window.programsMade = () => made.programs;
  window.draw = (head, laterMs, hands) => {
    nowMs += laterMs;
    if (hands === undefined) display.drawOnPage(head, "stereo");
    else wear(head, solidsOfHands(hands));
    const { width, height } = gl.canvas;
    const rows = new Uint8Array(width * height * 4);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rows);
    let text = "";
    for (let row = height - 1; row >= 0; row -= 1) {
      text += String.fromCharCode(...rows.subarray(row * width * 4, (row + 1) * width * 4));
    }
    return btoa(text);
  };
`;

export interface DisplayPage extends AsyncDisposable {
  show(picture: SidePicture): Promise<void>;
  /** The picture's pose is known no more. */
  forget(): Promise<void>;
  /** RGBA rows from the top, both eyes, so much later than before. */
  draw(head: HeadPose, laterMs?: number): Promise<Uint8Array>;
  /** The same as a headset has it, on a canvas that has its size already. */
  wear(head: HeadPose, hands: SeenHands, laterMs?: number): Promise<Uint8Array>;
  /** Programs that the display made since the page was opened. */
  programsMade(): Promise<number>;
}

export async function openDisplayPage(): Promise<DisplayPage> {
  const opened = await openScriptPage(ENTRY, "<canvas></canvas>");
  const { page } = opened;
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
  const draw = async (...given: readonly unknown[]): Promise<Uint8Array> => {
    const words = given.map((one) => JSON.stringify(one)).join(", ");
    return new Uint8Array(Buffer.from(Value.Parse(Type.String(), await page.evaluate(`draw(${words})`)), "base64"));
  };
  return {
    async show({ pixels, depth, ...rest }) {
      const picture = { ...rest, pixels: text(pixels), ...(depth === undefined ? {} : { depth: text(depth) }) };
      await page.evaluate(`show(${JSON.stringify(picture)})`);
    },
    async forget() {
      await page.evaluate("forget()");
    },
    draw: (head, laterMs = 0) => draw(head, laterMs),
    wear: (head, hands, laterMs = 0) => draw(head, laterMs, hands),
    programsMade: async () => Value.Parse(Type.Integer(), await page.evaluate("programsMade()")),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}
