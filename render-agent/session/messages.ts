/** What the agent and a session's process say to each other over IPC. */
import type { RenderClass } from "#domain/session/render-app.ts";

export interface SessionSetup {
  readonly renderClass: RenderClass;
  /** Level of detail that calibration chose, 0..1. */
  readonly detail: number;
  readonly sceneFile: string;
  readonly media: {
    readonly bindAddress: string;
    /** 0 lets the system choose. */
    readonly port: number;
    /** Where clients reach it, when that is not where it is bound. */
    readonly advertise?: { readonly address: string; readonly portOffset: number };
  };
}

export type ToSession =
  | { readonly kind: "setup"; readonly setup: SessionSetup }
  | { readonly kind: "offer"; readonly sdp: string }
  | { readonly kind: "stop"; readonly reason: string };

export type FromSession =
  | { readonly kind: "ready"; readonly adapterName: string; readonly frameMs: number }
  | { readonly kind: "answer"; readonly sdp: string }
  | { readonly kind: "ended"; readonly reason: string };
