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

export type XrReferenceSpace = EventTarget;

export interface XrFrame {
  getViewerPose(space: XrReferenceSpace): XrViewerPose | null | undefined;
}

export interface XrLayer {
  readonly framebuffer: WebGLFramebuffer | null;
  getViewport(view: XrView): Viewport | null | undefined;
}

export interface XrSession extends EventTarget {
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
