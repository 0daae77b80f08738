/** An immersive WebXR session: the viewer's pose of each frame goes out, what comes back is drawn on its layer. */
import { ClientFailure } from "../failure.ts";
import type { HeadPose } from "../pose/head-pose.ts";
import { controllersOf } from "../pose/xr-controllers.ts";
import { gazeOf } from "../pose/xr-gaze.ts";
import { seenHandsOf } from "../pose/xr-hands.ts";
import { headPoseOfViewer } from "../pose/xr-head.ts";
import { solidsOfHands } from "./hand-model.ts";
import type { Solid } from "./solids.ts";
import type { XrFrame, XrInputSource, XrLayer, XrReferenceSpace, XrSession, XrView } from "./webxr.ts";

/** Where the floor is not known, the head is taken to stand this high at the start. */
const STANDING_METRES = 1.6;

/** As it is at the time for which the display shows what is drawn. */
export interface HeadsetFrame {
  readonly head: HeadPose;
  readonly layer: XrLayer;
  readonly views: readonly XrView[];
  /** The person's own. */
  readonly hands: readonly Solid[];
}

export interface HeadsetOptions {
  readonly gl: WebGL2RenderingContext;
  readonly onFrame: (frame: HeadsetFrame) => void;
  readonly onEnd: () => void;
  /** The headset is left when it is aborted. */
  readonly signal: AbortSignal;
}

export interface Headset {
  /** Idempotent. */
  end(): Promise<void>;
}

export async function isHeadsetThere(): Promise<boolean> {
  try {
    return (await navigator.xr?.isSessionSupported("immersive-vr")) === true;
  } catch {
    // A page that may not use WebXR is told so by a SecurityError: there is no headset for it.
    return false;
  }
}

/** Throws `headset-unavailable`, and leaves nobody in a headset that shows nothing. To be called from a person's click, as WebXR demands. */
export async function enterHeadset(options: HeadsetOptions): Promise<Headset> {
  const { XRWebGLLayer } = window;
  if (navigator.xr === undefined || XRWebGLLayer === undefined) throw unavailable("this browser has no WebXR");
  const session = await navigator.xr
    .requestSession("immersive-vr", { optionalFeatures: ["local-floor", "hand-tracking"] })
    .catch((cause: unknown) => {
      throw unavailable(String(cause));
    });
  try {
    const layer = new XRWebGLLayer(session, options.gl);
    await session.updateRenderState({ baseLayer: layer });
    const place = await requestSpace(session);
    options.signal.throwIfAborted();
    return show(session, { ...place, layer }, options);
  } catch (cause) {
    // One that has ended meanwhile has nobody in it.
    await session.end().catch(() => undefined);
    throw unavailable(String(cause));
  }
}

interface Shown {
  readonly layer: XrLayer;
  readonly space: XrReferenceSpace;
  readonly floorMetres: number;
}

function show(session: XrSession, shown: Shown, { onFrame, onEnd, signal }: HeadsetOptions): Headset {
  const { layer, space, floorMetres } = shown;
  let isLeft = false;
  const end = async (): Promise<void> => {
    if (isLeft) return;
    isLeft = true;
    await session.end();
  };
  const leave = (): void => void end();
  signal.addEventListener("abort", leave, { once: true });
  const onSessionEnd = (): void => {
    isLeft = true;
    signal.removeEventListener("abort", leave);
    onEnd();
  };
  session.addEventListener("end", onSessionEnd, { once: true });
  const run = (_timeMs: number, frame: XrFrame): void => {
    session.requestAnimationFrame(run);
    const viewer = frame.getViewerPose(space) ?? undefined;
    const head = viewer === undefined ? undefined : headPoseOfViewer(viewer, floorMetres);
    if (viewer === undefined || head === undefined) return;
    const poseOf = ({ targetRaySpace }: XrInputSource) => frame.getPose(targetRaySpace, space)?.transform;
    const gaze = gazeOf(session.inputSources, poseOf, head.orientation);
    const controllers = controllersOf(session.inputSources, poseOf, floorMetres);
    const worn = { ...head, controllers, asksFoveation: true, ...(gaze === undefined ? {} : { gaze }) };
    const hands = solidsOfHands(seenHandsOf(session.inputSources, frame, space, floorMetres));
    onFrame({ head: worn, layer, views: viewer.views, hands });
  };
  session.requestAnimationFrame(run);
  return { end };
}

async function requestSpace(session: XrSession): Promise<{ space: XrReferenceSpace; floorMetres: number }> {
  try {
    return { space: await session.requestReferenceSpace("local-floor"), floorMetres: 0 };
  } catch {
    // Not every device knows its floor; every one has a space around where it was started.
    return { space: await session.requestReferenceSpace("local"), floorMetres: STANDING_METRES };
  }
}

function unavailable(what: string): ClientFailure {
  return new ClientFailure("headset-unavailable", `the headset cannot be used: ${what}`);
}
