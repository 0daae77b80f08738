/** An immersive WebXR session: the viewer's pose of each frame goes out, what comes back is drawn on its layer. */
import { ClientFailure } from "../failure.ts";
import type { HeadPose } from "../pose/head-pose.ts";
import { headPoseOfViewer } from "../pose/xr-head.ts";
import type { XrFrame, XrLayer, XrReferenceSpace, XrSession, XrView } from "./webxr.ts";

/** Where the floor is not known, the head is taken to stand this high at the start. */
const STANDING_METRES = 1.6;

export interface HeadsetOptions {
  readonly gl: WebGL2RenderingContext;
  readonly onFrame: (head: HeadPose, layer: XrLayer, views: readonly XrView[]) => void;
  readonly onEnd: () => void;
}

export interface Headset {
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

/** Throws `headset-unavailable`. To be called from a person's click, as WebXR demands. */
export async function enterHeadset({ gl, onFrame, onEnd }: HeadsetOptions): Promise<Headset> {
  const { XRWebGLLayer } = window;
  if (navigator.xr === undefined || XRWebGLLayer === undefined) throw unavailable("this browser has no WebXR");
  const session = await navigator.xr
    .requestSession("immersive-vr", { optionalFeatures: ["local-floor"] })
    .catch((cause: unknown) => {
      throw unavailable(String(cause));
    });
  session.addEventListener("end", onEnd, { once: true });
  const layer = new XRWebGLLayer(session, gl);
  await session.updateRenderState({ baseLayer: layer });
  const { space, floorMetres } = await requestSpace(session);
  const run = (_timeMs: number, frame: XrFrame): void => {
    session.requestAnimationFrame(run);
    const viewer = frame.getViewerPose(space) ?? undefined;
    const head = viewer === undefined ? undefined : headPoseOfViewer(viewer, floorMetres);
    if (viewer !== undefined && head !== undefined) onFrame(head, layer, viewer.views);
  };
  session.requestAnimationFrame(run);
  return { end: () => session.end() };
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
