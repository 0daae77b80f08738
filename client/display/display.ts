/** Shows the newest picture for where the head is now, on the page or in a headset; nothing is queued. */
import type { PoseMessage } from "#contracts/media/pose.ts";
import type { DecodedFrame } from "../media/receiver.ts";
import { fieldOfViewOf, type HeadPose } from "../pose/head-pose.ts";
import { createPictureRenderer, type EyeDrawing, type PictureRenderer, type Viewport } from "./picture-renderer.ts";
import type { EyeDirection } from "./reprojection.ts";
import type { XrLayer, XrView } from "./webxr.ts";

/** One eye fills the page's picture, or both stand side by side. */
export type Layout = "mono" | "stereo";

export interface Pixels {
  readonly poseId: number;
  readonly widthPixels: number;
  readonly heightPixels: number;
  /** RGBA rows from the top. */
  readonly rgba: Uint8ClampedArray;
}

export interface Display {
  readonly gl: WebGL2RenderingContext;
  /** Takes the picture; the one before is closed. */
  setFrame(frame: DecodedFrame<VideoFrame>): void;
  drawOnPage(head: HeadPose, layout: Layout): void;
  /** False where there is nothing to draw yet, or nowhere. */
  drawInHeadset(layer: XrLayer, views: readonly XrView[]): boolean;
  framesDrawn(): number;
  /** Width over height of an eye's picture; a square before the first. */
  eyeAspect(): number;
  lastPoseId(): number | undefined;
  /** The newest picture as it was decoded, both eyes; `undefined` before the first. */
  readPicture(): Pixels | undefined;
}

export interface DisplayOptions {
  readonly canvas: HTMLCanvasElement;
  readonly findPose: (poseId: number) => PoseMessage | undefined;
}

/** Throws where the browser has no WebGL2. */
export function createDisplay({ canvas, findPose }: DisplayOptions): Display {
  const renderer: PictureRenderer = createPictureRenderer(canvas);
  let frame: DecodedFrame<VideoFrame> | undefined;
  let isUploaded = false;
  let framesDrawn = 0;
  const draw = (
    framebuffer: WebGLFramebuffer | null,
    eyesOf: (pose: PoseMessage) => readonly EyeDrawing[],
  ): boolean => {
    const pose = frame === undefined ? undefined : findPose(frame.header.poseId);
    if (frame === undefined || pose === undefined) return false;
    if (!isUploaded) renderer.setPicture(frame.picture);
    isUploaded = true;
    const isDrawn = renderer.draw(framebuffer, eyesOf(pose));
    framesDrawn += isDrawn ? 1 : 0;
    return isDrawn;
  };
  return {
    gl: renderer.gl,
    setFrame(next) {
      frame?.picture.close();
      frame = next;
      isUploaded = false;
    },
    drawOnPage(head, layout) {
      if (frame === undefined) return;
      const { eyeWidthPixels: width, eyeHeightPixels: height } = frame.header;
      resize(canvas, layout === "stereo" ? width * 2 : width, height);
      const eyes: readonly (0 | 1)[] = layout === "stereo" ? [0, 1] : [0];
      draw(null, (pose) =>
        eyes.map((eye) => ({
          eye,
          viewport: { x: eye * width, y: 0, width, height },
          rendered: directionOf(pose, eye),
          shown: directionOf(head, eye),
        })),
      );
    },
    drawInHeadset: (layer, views) =>
      draw(layer.framebuffer, (pose) => views.flatMap((view) => headsetEye(layer, view, pose))),
    framesDrawn: () => framesDrawn,
    eyeAspect: () => (frame === undefined ? 1 : frame.header.eyeWidthPixels / frame.header.eyeHeightPixels),
    lastPoseId: () => frame?.header.poseId,
    readPicture: () => (frame === undefined ? undefined : readPixels(frame)),
  };
}

function directionOf(pose: Pick<PoseMessage, "orientation" | "eyes">, eye: 0 | 1): EyeDirection {
  return { orientation: pose.orientation, fieldOfView: pose.eyes[eye].fieldOfView };
}

function headsetEye(layer: XrLayer, view: XrView, pose: PoseMessage): readonly EyeDrawing[] {
  const viewport: Viewport | null | undefined = layer.getViewport(view);
  if (viewport === null || viewport === undefined) return [];
  const eye = view.eye === "right" ? 1 : 0;
  const shown = { orientation: view.transform.orientation, fieldOfView: fieldOfViewOf(view.projectionMatrix) };
  return [{ eye, viewport, rendered: directionOf(pose, eye), shown }];
}

/** Setting the size clears the canvas, so only when it changes. */
function resize(canvas: HTMLCanvasElement, width: number, height: number): void {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}

function readPixels({ header, picture }: DecodedFrame<VideoFrame>): Pixels | undefined {
  const { displayWidth, displayHeight } = picture;
  const context = new OffscreenCanvas(displayWidth, displayHeight).getContext("2d");
  if (context === null) return undefined;
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, displayWidth, displayHeight);
  return { poseId: header.poseId, widthPixels: displayWidth, heightPixels: displayHeight, rgba: data };
}
