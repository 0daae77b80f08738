/** What a session's process and the thread of its app say to each other. */
import type { FailureCode } from "#domain/failure.ts";

/** For the module, and again for its init: a scene of thousands of objects is set up in a tenth. */
export const INIT_MS_MAX = 1_000;
/** Eight frames at 30 Hz: the person has noticed. */
export const TICK_MS_MAX = 250;

export const LINE_LEVELS = ["info", "warn", "error"] as const;

/** Of `console`, or about the app. */
export interface AppLine {
  readonly level: (typeof LINE_LEVELS)[number];
  readonly text: string;
}

export interface AppStart {
  readonly source: string;
  /** Of the scene's objects, in the order of their transforms. */
  readonly names: readonly string[];
  /** Of the scene's sounds, whose floats follow those of the objects. */
  readonly sounds: readonly string[];
  /** Of `createStateMemory`. */
  readonly memory: SharedArrayBuffer;
}

export interface AppTick {
  /** Of `headValues`. */
  readonly head: Float64Array<ArrayBuffer>;
  readonly dtSeconds: number;
}

export type FromApp =
  /** The interpreter is there; the module's own code begins. */
  | { readonly kind: "loaded" }
  /** `init` has returned. */
  | { readonly kind: "ready" }
  | { readonly kind: "ticked" }
  | { readonly kind: "line"; readonly line: AppLine }
  /** The thread ends. */
  | { readonly kind: "failed"; readonly code: FailureCode; readonly message: string };
