/** What the agent and a session's process say to each other over IPC. */
import type { FailureCode } from "#domain/failure.ts";
import type { IceServer } from "#domain/session/ice-server.ts";
import type { RenderClass } from "#domain/session/render-app.ts";
import type { AppLine } from "../apps/app-messages.ts";
import type { EncoderName, EncoderWish } from "../encoder/encoder-settings.ts";
import type { Foveation } from "../encoder/foveation.ts";
import type { RehearsedFrames } from "./rehearsal.ts";

export interface MediaPlace {
  readonly bindAddress: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Asked beside it; a relay only from a port that the system chose. */
  readonly iceServers?: readonly IceServer[];
  /** Where clients reach it, when that is not where it is bound. */
  readonly advertise?: { readonly address: string; readonly portOffset: number };
}

export interface SessionSetup {
  readonly renderClass: RenderClass;
  /** Level of detail that calibration chose, 0..1. */
  readonly detail: number;
  readonly sceneFile: string;
  /** Of a bundle that has an app. */
  readonly appFile?: string | undefined;
  readonly media: MediaPlace;
}

/** An HTTP upgrade whose socket travels beside the message. */
export interface HandedUpgrade {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What was read behind the request already. */
  readonly head: Uint8Array;
}

/** Frames of the last second, and how long they took. */
export interface FrameStatistics {
  readonly framesRendered: number;
  readonly renderMsP95: number;
  readonly encodeMsP95: number;
  /** Rendered and not encoded: the connection was not clear. */
  readonly framesHeldBack: number;
}

export type OfferOutcome =
  | { readonly kind: "accepted"; readonly sdp: string }
  | { readonly kind: "refused"; readonly message: string };

/** What a process makes its frames with, and what to install for better ones. */
export interface Equipment {
  readonly adapterName: string;
  readonly isSoftware: boolean;
  readonly encoder: EncoderName;
  readonly advice: readonly string[];
}

export type ToSession =
  /** The first. */
  | { readonly kind: "begin"; readonly encoder: EncoderWish; readonly foveation: Foveation }
  | { readonly kind: "setup"; readonly setup: SessionSetup }
  | { readonly kind: "measure"; readonly forMs: number }
  /** Was given an address to connect to, and has not come yet. */
  | { readonly kind: "await-client" }
  /** Nothing more is measured: it waits for a client, or for another setup. */
  | { readonly kind: "rest" }
  | { readonly kind: "offer"; readonly request: number; readonly sdp: string }
  | { readonly kind: "upgrade"; readonly upgrade: HandedUpgrade }
  | { readonly kind: "stop"; readonly reason: string };

export type FromSession =
  /** The GPU is open and the encoder there; the only message before `setup`, if not `failed`. */
  | { readonly kind: "warm"; readonly equipment: Equipment }
  | { readonly kind: "failed"; readonly code: FailureCode; readonly message: string }
  /** Has rendered and encoded. */
  | { readonly kind: "ready" }
  | { readonly kind: "measured"; readonly frames: RehearsedFrames }
  | { readonly kind: "app-line"; readonly line: AppLine }
  | { readonly kind: "answer"; readonly request: number; readonly outcome: OfferOutcome }
  /** The smoothed RTT of the client's connection; 0 while nothing is known. */
  | { readonly kind: "statistics"; readonly statistics: FrameStatistics; readonly rttMs: number }
  | { readonly kind: "ended"; readonly reason: string };
