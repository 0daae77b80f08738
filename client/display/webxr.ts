/** The part of WebXR that is used here (W3C WebXR Device API), since TypeScript's own library has none of it. */
import type { Quaternion, Vector3 } from "#contracts/media/pose.ts";
import type { Viewport } from "./picture-renderer.ts";

export interface XrTransform {
  readonly position: Vector3;
  readonly orientation: Quaternion;
}

export interface XrView {
  readonly eye: "left" | "right" | "none";
  readonly projectionMatrix: Float32Array;
  readonly transform: XrTransform;
}

export interface XrViewerPose {
  readonly transform: XrTransform;
  readonly views: readonly XrView[];
}

export interface XrJointPose {
  readonly transform: XrTransform;
  /** Metres from the joint to the skin. */
  readonly radius?: number;
}

export type XrReferenceSpace = EventTarget;

/** Input profiles are not looked at: buttons and axes are those of the `xr-standard` mapping. */
export interface XrInputSource {
  readonly handedness: "none" | "left" | "right";
  readonly targetRaySpace: EventTarget;
  /** Where it is held; without one where it is not. */
  readonly gripSpace?: EventTarget | null;
  /** Of a hand that is tracked: joints by their names (WebXR Hand Input). */
  readonly hand?: { get(joint: string): EventTarget | undefined } | null;
  /** `gaze` is a ray from between the eyes along where they look, or where the head looks. */
  readonly targetRayMode?: string;
  readonly gamepad?: {
    readonly buttons: readonly { readonly value: number }[];
    readonly axes: readonly number[];
  };
}

export interface XrFrame {
  getPose(space: EventTarget, base: XrReferenceSpace): { readonly transform: XrTransform } | null | undefined;
  getViewerPose(space: XrReferenceSpace): XrViewerPose | null | undefined;
  getJointPose?(joint: EventTarget, base: XrReferenceSpace): XrJointPose | null | undefined;
}

export interface XrLayer {
  readonly framebuffer: WebGLFramebuffer | null;
  getViewport(view: XrView): Viewport | null | undefined;
}

export interface XrSession extends EventTarget {
  readonly inputSources: Iterable<XrInputSource>;
  updateRenderState(state: { readonly baseLayer: XrLayer }): unknown;
  requestReferenceSpace(type: "local" | "local-floor"): Promise<XrReferenceSpace>;
  requestAnimationFrame(run: (timeMs: number, frame: XrFrame) => void): number;
  end(): Promise<void>;
}

export interface XrSystem {
  isSessionSupported(mode: "immersive-vr"): Promise<boolean>;
  requestSession(mode: "immersive-vr", init: { readonly optionalFeatures: readonly string[] }): Promise<XrSession>;
}

declare global {
  interface Navigator {
    readonly xr?: XrSystem;
  }
  interface Window {
    readonly XRWebGLLayer?: new (session: XrSession, gl: WebGL2RenderingContext) => XrLayer;
  }
}
