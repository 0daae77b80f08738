/** What coming up took, part by part: from the wish for a session, or from the last frame before a loss, to a picture. Pure but for what it keeps. */
import type { ClientClock } from "../clock.ts";

/** Why there is no picture. Times are of the monotonic clock. */
export interface Interruption {
  readonly because: "created" | "lost";
  /** When it was wanted, or the last frame came. */
  readonly sinceMs: number;
  /** When that was known. */
  readonly noticedAtMs: number;
}

/** Of the connection that brought the picture. */
export interface ConnectTimes {
  readonly begunAtMs: number;
  readonly offeredAtMs: number;
  readonly leasedAtMs: number;
  readonly connectedAtMs: number;
  readonly decodedAtMs: number;
}

/** Milliseconds each, one after the other. */
export interface ComingUp {
  readonly because: Interruption["because"];
  /** The silence until the loss was known. */
  readonly noticed: number;
  /** Scheduler, probes, and edges that refused. */
  readonly placed: number;
  readonly offer: number;
  /** The edge's answer, with the agent's that it waits for. */
  readonly lease: number;
  readonly media: number;
  /** From there to the first decoded picture, which is rendered from a pose that is sent over the connection. */
  readonly picture: number;
}

export const COMING_UP_PARTS = ["noticed", "placed", "offer", "lease", "media", "picture"] as const;

export function comingUpOf({ because, sinceMs, noticedAtMs }: Interruption, times: ConnectTimes): ComingUp {
  return {
    because,
    noticed: noticedAtMs - sinceMs,
    placed: times.begunAtMs - noticedAtMs,
    offer: times.offeredAtMs - times.begunAtMs,
    lease: times.leasedAtMs - times.offeredAtMs,
    media: times.connectedAtMs - times.leasedAtMs,
    picture: times.decodedAtMs - times.connectedAtMs,
  };
}

export interface FirstDrawing {
  /** Of this connection; again the same changes nothing. */
  await(grant: { readonly times: ConnectTimes } | undefined): void;
  drawn(): void;
  /** From the connection's first picture being decoded to one being drawn; `undefined` until it is. */
  tookMs(): number | undefined;
}

export function createFirstDrawing(clock: Pick<ClientClock, "monotonicMs">): FirstDrawing {
  let awaited: ConnectTimes | undefined;
  let tookMs: number | undefined;
  return {
    await(grant) {
      if (grant === undefined || grant.times === awaited) return;
      awaited = grant.times;
      tookMs = undefined;
    },
    drawn() {
      if (awaited !== undefined) tookMs ??= clock.monotonicMs() - awaited.decodedAtMs;
    },
    tookMs: () => tookMs,
  };
}
