/** Shows the newest picture for where the head is now, on the page or in a headset; nothing is queued. */
import type { EyeSize } from "#contracts/media/depth-shape.ts";
import type { FrameHeader } from "#contracts/media/frame.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";
import type { DecodedFrame } from "../media/receiver.ts";
import { fieldOfViewOf, type HeadPose } from "../pose/head-pose.ts";
import type { HeadsetFrame } from "./headset.ts";
import { createHeldSolids } from "./held-solids.ts";
import { fadeOf } from "./local-scene.ts";
import { createPictureRenderer, type EyeDrawing, type PictureRenderer, type Viewport } from "./picture-renderer.ts";
import { createPixelCopies } from "./pixel-copies.ts";
import { type EyeView, eyeViewOf } from "./reprojection.ts";
import type { Solid } from "./solids.ts";
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
  /** The local scene where there is no picture yet, and the person's hands. False where nothing could be drawn. */
  drawInHeadset(frame: HeadsetFrame): boolean;
  framesDrawn(): number;
  /** Width over height of an eye on the page; a square before the first picture. */
  eyeAspect(): number;
  lastPoseId(): number | undefined;
  /** The newest picture as it was decoded, both eyes; `undefined` before the first. */
  readPicture(): Pixels | undefined;
}

/**
 * Where a page is drawn by the CPU each picture is drawn once, as long as the next one comes and the head goes nowhere:
 * what would be drawn in between costs as much as decoding, and holds up what comes next.
 */
const REDRAWN_AFTER_MS = 50;

export interface DisplayOptions {
  readonly canvas: HTMLCanvasElement;
  readonly findPose: (poseId: number) => PoseMessage | undefined;
  readonly monotonicMs: () => number;
  /** From now on it can be drawn: without a GPU a while after it was set, and not where a newer one came meanwhile. */
  readonly onTaken?: (header: FrameHeader) => void;
  /** Nothing is drawn or held after it is aborted. */
  readonly signal: AbortSignal;
}

/** Throws `browser-unfit` where there is no WebGL2. */
export function createDisplay({ canvas, findPose, monotonicMs, onTaken, signal }: DisplayOptions): Display {
  const renderer: PictureRenderer = createPictureRenderer(canvas, signal);
  let frame: DecodedFrame<VideoFrame> | undefined;
  let pixels: Uint8Array | undefined;
  /** Of the largest picture: on a narrow way they are smaller, which is no reason for the page to change its shape. */
  let size: EyeSize | undefined;
  let [takenAtMs, isUploaded] = [0, false];
  let [framesDrawn, uploadsDrawn] = [0, 0];
  let headDrawn: HeadPose | undefined;
  const letGo = (): void => {
    frame?.picture.close();
    frame = undefined;
  };
  signal.addEventListener("abort", letGo, { once: true });
  const take = (next: DecodedFrame<VideoFrame>, copied: Uint8Array | undefined): void => {
    letGo();
    frame = next;
    pixels = copied;
    size = larger(size, next.header);
    takenAtMs = monotonicMs();
    isUploaded = false;
    if (signal.aborted) letGo();
    else onTaken?.(next.header);
  };
  const copies = createPixelCopies(take);
  const held = createHeldSolids();
  /** `undefined` where there is no picture, or nobody knows any more where it was rendered from. */
  const uploadedPose = (): PoseMessage | undefined => {
    const pose = frame === undefined ? undefined : findPose(frame.header.poseId);
    if (frame === undefined || pose === undefined) return undefined;
    if (!isUploaded) renderer.setPicture({ image: frame.picture, pixels, size: frame.header, depth: frame.depth });
    isUploaded = true;
    return pose;
  };
  const draw = (framebuffer: WebGLFramebuffer | null, { eyes, head, hands = [] }: Shown): boolean => {
    const pose = uploadedPose();
    const drawings = eyes.map((shown) => ({
      ...shown,
      rendered: pose === undefined ? shown.shown : eyeViewOf(pose, pose.eyes[shown.eye]),
    }));
    const fade = pose === undefined ? 1 : fadeOf(monotonicMs() - takenAtMs);
    const solids = [...hands, ...held.at(frame?.held ?? [], head.controllers ?? [])];
    const isDrawn = renderer.draw(framebuffer, drawings, { fade, solids });
    framesDrawn += isDrawn ? 1 : 0;
    if (isDrawn) uploadsDrawn = renderer.uploads();
    return isDrawn;
  };
  return {
    gl: renderer.gl,
    setFrame: (next) => (renderer.isSoftware ? copies.copy(next) : take(next, undefined)),
    drawOnPage(head, layout) {
      if (frame === undefined || size === undefined) return;
      const isDrawn = isUploaded && uploadsDrawn === renderer.uploads() && isAbout(head, headDrawn);
      if (renderer.isSoftware && isDrawn && monotonicMs() - takenAtMs < REDRAWN_AFTER_MS) return;
      headDrawn = head;
      const { eyeWidthPixels: width, eyeHeightPixels: height } = size;
      resize(canvas, layout === "stereo" ? width * 2 : width, height);
      draw(null, { head, eyes: pageEyes(head, layout, size) });
    },
    drawInHeadset: ({ head, layer, views, hands }) =>
      draw(layer.framebuffer, { head, hands, eyes: headsetEyes(head, layer, views) }),
    framesDrawn: () => framesDrawn,
    eyeAspect: () => (size === undefined ? 1 : size.eyeWidthPixels / size.eyeHeightPixels),
    lastPoseId: () => frame?.header.poseId,
    readPicture: () => (frame === undefined ? undefined : readPixels(frame)),
  };
}

type ShownEye = Omit<EyeDrawing, "rendered">;

interface Shown {
  readonly eyes: readonly ShownEye[];
  readonly head: HeadPose;
  readonly hands?: readonly Solid[];
}

/** One degree and one centimetre: a turn of 60 degrees a second, from one frame of a display to the next. */
const ABOUT = { cosine: Math.cos(Math.PI / 360), metres: 0.01 };

function isAbout(head: HeadPose, drawn: HeadPose | undefined): boolean {
  if (drawn === undefined) return false;
  const [a, b] = [head.orientation, drawn.orientation];
  const cosine = Math.abs(a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w);
  const { x, y, z } = head.position;
  const metres = Math.hypot(x - drawn.position.x, y - drawn.position.y, z - drawn.position.z);
  return cosine >= ABOUT.cosine && metres <= ABOUT.metres;
}

function pageEyes(head: HeadPose, layout: Layout, size: EyeSize): readonly ShownEye[] {
  const { eyeWidthPixels: width, eyeHeightPixels: height } = size;
  const eyes: readonly (0 | 1)[] = layout === "stereo" ? [0, 1] : [0];
  return eyes.map((eye) => ({
    eye,
    viewport: { x: eye * width, y: 0, width, height },
    shown: eyeViewOf(head, head.eyes[eye]),
  }));
}

function headsetEyes(head: HeadPose, layer: XrLayer, views: readonly XrView[]): readonly ShownEye[] {
  return views.flatMap((view) => headsetEye(head, layer, view));
}

/** Its direction is the view's own: displays may be canted. */
function headsetEye(head: HeadPose, layer: XrLayer, view: XrView): readonly ShownEye[] {
  const viewport: Viewport | null | undefined = layer.getViewport(view);
  if (viewport === null || viewport === undefined) return [];
  const eye = view.eye === "right" ? 1 : 0;
  const { orientation } = view.transform;
  const shown: EyeView = {
    ...eyeViewOf(head, head.eyes[eye]),
    orientation,
    fieldOfView: fieldOfViewOf(view.projectionMatrix),
  };
  return [{ eye, viewport, shown }];
}

function larger(known: EyeSize | undefined, { eyeWidthPixels, eyeHeightPixels }: EyeSize): EyeSize {
  const isLarger =
    known === undefined || eyeWidthPixels * eyeHeightPixels > known.eyeWidthPixels * known.eyeHeightPixels;
  return isLarger ? { eyeWidthPixels, eyeHeightPixels } : known;
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
