/** Decides whether a whole frame may enter the decoder: never after a gap, never behind a queue. Pure. */

/** The agent answers with its next frame; a second request before that would only make a second key frame. */
export const KEY_REQUEST_INTERVAL_MS = 100;
/** A frame behind two others would be shown two frames late: the decoder starts again from a key frame instead. */
export const DECODE_QUEUE_MAX = 2;

export interface DecodeState {
  /** 0 before the first. */
  readonly lastNumber: number;
  readonly waitsForKey: boolean;
  readonly keyRequestedAtMs: number;
}

export const BEFORE_FIRST_FRAME: DecodeState = {
  lastNumber: 0,
  waitsForKey: true,
  keyRequestedAtMs: Number.NEGATIVE_INFINITY,
};

export interface ArrivedFrame {
  readonly frameNumber: number;
  readonly key: boolean;
}

export type DecodeDecision =
  | { readonly kind: "decode" }
  | { readonly kind: "drop"; readonly because: "late" | "gap" | "waits-for-key" | "decoder-behind" };

export interface DecodePlan {
  readonly state: DecodeState;
  readonly decision: DecodeDecision;
  readonly requestsKey: boolean;
  /** Frames between the last that arrived and this one. */
  readonly framesMissed: number;
}

export function planDecode(
  state: DecodeState,
  { frameNumber, key }: ArrivedFrame,
  { nowMs, decodeQueue }: { readonly nowMs: number; readonly decodeQueue: number },
): DecodePlan {
  if (frameNumber <= state.lastNumber) {
    return { state, decision: { kind: "drop", because: "late" }, requestsKey: false, framesMissed: 0 };
  }
  const framesMissed = frameNumber - state.lastNumber - 1;
  const next = { ...state, lastNumber: frameNumber };
  const isBehind = decodeQueue >= DECODE_QUEUE_MAX;
  if (key && !isBehind) {
    return { state: { ...next, waitsForKey: false }, decision: { kind: "decode" }, requestsKey: false, framesMissed };
  }
  const because = reasonToDrop(state, framesMissed, isBehind);
  if (because === undefined) return { state: next, decision: { kind: "decode" }, requestsKey: false, framesMissed };
  const waiting = { ...next, waitsForKey: true };
  return { ...requestKey(waiting, nowMs), decision: { kind: "drop", because }, framesMissed };
}

function reasonToDrop({ waitsForKey }: DecodeState, framesMissed: number, isBehind: boolean) {
  if (isBehind) return "decoder-behind";
  if (waitsForKey) return "waits-for-key";
  return framesMissed > 0 ? "gap" : undefined;
}

/** After an error of the decoder: nothing but a key frame will do. */
export function planRestart(state: DecodeState, nowMs: number): Pick<DecodePlan, "state" | "requestsKey"> {
  return requestKey({ ...state, waitsForKey: true }, nowMs);
}

function requestKey(state: DecodeState, nowMs: number): Pick<DecodePlan, "state" | "requestsKey"> {
  if (nowMs - state.keyRequestedAtMs < KEY_REQUEST_INTERVAL_MS) return { state, requestsKey: false };
  return { state: { ...state, keyRequestedAtMs: nowMs }, requestsKey: true };
}
