/** What client and agent say to each other on the reliable channel: one JSON text a message. Pure; the same file in the browser. */
import { Failure } from "#domain/failure.ts";
import { FRAME_BYTES_MAX } from "./frame.ts";
import { type HeldObject, readHeldObject, readHold } from "./held-object.ts";

/** What a client has seen of frames since its last report. */
export interface FrameReport {
  readonly newestFrame: number;
  readonly framesArrived: number;
  /** Of those frames. */
  readonly bytes: number;
  /** From the arrival of the newest of the report before, or of the first frame of all, which is in none. */
  readonly spanMs: number;
  /** The least of what a pose and its frame took on the way, together: by one clock, so that no offset is in it. */
  readonly networkMsMin: number;
}

export type ControlMessage =
  /** client → agent: a frame is missing; the next one must be decodable by itself. */
  | { readonly type: "keyframe-request" }
  /** client → agent, at least every HEARTBEAT_MS while no pose is sent. */
  | { readonly type: "heartbeat" }
  /** agent → client by data channels, at most once a second: send the content back, at once. */
  | { readonly type: "echo-request"; readonly content: string }
  /** client → agent: the content of the request. */
  | { readonly type: "echo"; readonly content: string }
  /** client → agent, at most every LOSS_REPORT_MS: fragments of the frames since the last report, before any repair. */
  | { readonly type: "loss-report"; readonly fragmentsReceived: number; readonly fragmentsLost: number }
  /** agent → client: frames are to come by so many connections, the first among them. It may ask for more later. */
  | { readonly type: "stripe-request"; readonly connections: number }
  /** client → agent: the offer of a further connection, all candidates in it; the first is number 0 and not among them. */
  | { readonly type: "stripe-offer"; readonly stripe: number; readonly sdp: string }
  /** agent → client: the answer to the offer of this number. */
  | { readonly type: "stripe-answer"; readonly stripe: number; readonly sdp: string }
  /** client → agent: whether sound is to be sent; at first it is not. */
  | { readonly type: "audio-wish"; readonly isWanted: boolean }
  /** agent → client, for each wish for sound: whether there is any, and if not, why. Data channels are to be offered then. */
  | { readonly type: "audio-state"; readonly isThere: boolean; readonly because: string }
  /** client → agent: the offer of a connection for sound alone, all candidates in it. It takes the place of the one before. */
  | { readonly type: "audio-offer"; readonly sdp: string }
  /** agent → client. */
  | { readonly type: "audio-answer"; readonly sdp: string }
  /** client → agent: it draws held objects. Who does not say so has them in its pictures. */
  | { readonly type: "held-wish" }
  /** agent → client that said so: what a hand holds; it stays in the pictures as long as frames do not say otherwise. */
  | ({ readonly type: "held-object" } & HeldObject)
  /** client → agent: it can draw that one; frames from now on may be without it, and say so. */
  | ({ readonly type: "held-ready" } & Pick<HeldObject, "hand" | "hold">)
  /** client → agent, every REPORT_MS at most, while frames arrive. */
  | ({ readonly type: "frame-report" } & FrameReport)
  /** Either way: nothing follows. */
  | { readonly type: "session-end"; readonly reason: string }
  /** agent → client, once a second. */
  | {
      readonly type: "statistics";
      readonly framesRendered: number;
      readonly renderMsP95: number;
      readonly encodeMsP95: number;
      /** Rendered and not encoded, since the connection was not clear; absent where an agent does not count them. */
      readonly framesHeldBack?: number;
    };

export const CHANNELS = { poses: "poses", frames: "frames", control: "control" } as const;
/** The label of the one channel of the connection that sound goes by. */
export const AUDIO_CHANNEL = "audio";
export const HEARTBEAT_MS = 500;
export const LOSS_REPORT_MS = 250;
/** An offer of data channels has 0.7 KB and 0.1 KB a candidate: a host with a hundred addresses. */
export const SDP_CHARACTERS_MAX = 12_000;
/** A session description and what JSON adds to it: two characters for the end of each line. */
export const CONTROL_BYTES_MAX = 16_384;
/** Connections of a session, the first among them. */
export const STRIPES_MAX = 8;
/** Four megabytes in fragments, four times a second for a minute. */
export const REPORTED_FRAGMENTS_MAX = 1_000_000;
/** At 30 Hz every third frame. */
export const REPORT_MS = 90;
const REASON_CHARACTERS_MAX = 200;
export const ECHO_CHARACTERS_MAX = 64;
/** A report that is late by seconds has no more of them; its bytes are at most those of so many frames. */
const REPORT_FRAMES_MAX = 1_000;
const REPORT_SPAN_MS_MAX = 60_000;

export function encodeControl(message: ControlMessage): string {
  return JSON.stringify(message);
}

/** Throws `media-invalid`. */
export function decodeControl(text: string): ControlMessage {
  if (text.length > CONTROL_BYTES_MAX) throw invalid("is too long");
  const value = parseObject(text);
  switch (value["type"]) {
    case "keyframe-request":
      return { type: "keyframe-request" };
    case "heartbeat":
      return { type: "heartbeat" };
    case "echo-request":
      return { type: "echo-request", content: echoed(value["content"]) };
    case "echo":
      return { type: "echo", content: echoed(value["content"]) };
    case "loss-report":
      return {
        type: "loss-report",
        fragmentsReceived: whole(value["fragmentsReceived"], 0, REPORTED_FRAGMENTS_MAX),
        fragmentsLost: whole(value["fragmentsLost"], 0, REPORTED_FRAGMENTS_MAX),
      };
    case "stripe-request":
      return { type: "stripe-request", connections: whole(value["connections"], 1, STRIPES_MAX) };
    case "stripe-offer":
      return { type: "stripe-offer", stripe: whole(value["stripe"], 1, STRIPES_MAX - 1), sdp: sdpOf(value["sdp"]) };
    case "stripe-answer":
      return { type: "stripe-answer", stripe: whole(value["stripe"], 1, STRIPES_MAX - 1), sdp: sdpOf(value["sdp"]) };
    case "audio-wish":
      return { type: "audio-wish", isWanted: yesOrNo(value["isWanted"]) };
    case "audio-state":
      return { type: "audio-state", isThere: yesOrNo(value["isThere"]), because: reasonOf(value["because"]) };
    case "audio-offer":
      return { type: "audio-offer", sdp: sdpOf(value["sdp"]) };
    case "audio-answer":
      return { type: "audio-answer", sdp: sdpOf(value["sdp"]) };
    case "held-wish":
      return { type: "held-wish" };
    case "held-object":
      return { type: "held-object", ...readHeldObject(value) };
    case "held-ready":
      return { type: "held-ready", ...readHold(value) };
    case "frame-report":
      return { type: "frame-report", ...reported(value) };
    case "session-end":
      return { type: "session-end", reason: reasonOf(value["reason"]) };
    case "statistics":
      return {
        type: "statistics",
        framesRendered: finite(value["framesRendered"]),
        renderMsP95: finite(value["renderMsP95"]),
        encodeMsP95: finite(value["encodeMsP95"]),
        ...(value["framesHeldBack"] === undefined ? {} : { framesHeldBack: finite(value["framesHeldBack"]) }),
      };
    default:
      throw invalid("must have a type of the media protocol");
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Failure("media-invalid", "control message: must be JSON", { cause: error });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("must be an object");
  return Object.fromEntries(Object.entries(value));
}

function reported(value: Readonly<Record<string, unknown>>): FrameReport {
  return {
    newestFrame: within(value["newestFrame"], 0xffff_ffff),
    framesArrived: within(value["framesArrived"], REPORT_FRAMES_MAX),
    bytes: within(value["bytes"], REPORT_FRAMES_MAX * FRAME_BYTES_MAX),
    spanMs: within(value["spanMs"], REPORT_SPAN_MS_MAX),
    networkMsMin: within(value["networkMsMin"], REPORT_SPAN_MS_MAX),
  };
}

function within(value: unknown, most: number): number {
  const number = finite(value);
  if (number >= 0 && number <= most) return number;
  throw invalid(`must have numbers of 0..${most}`);
}

function echoed(value: unknown): string {
  if (typeof value === "string" && value.length <= ECHO_CHARACTERS_MAX) return value;
  throw invalid(`must have a content of at most ${ECHO_CHARACTERS_MAX} characters`);
}

/** What is longer is cut: the end is told all the same. */
function reasonOf(value: unknown): string {
  if (typeof value === "string") return value.slice(0, REASON_CHARACTERS_MAX);
  throw invalid("must have a reason in words");
}

function yesOrNo(value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw invalid("must say true or false");
}

function sdpOf(value: unknown): string {
  if (typeof value === "string" && value.length <= SDP_CHARACTERS_MAX) return value;
  throw invalid(`must have an sdp of at most ${SDP_CHARACTERS_MAX} characters`);
}

function whole(value: unknown, min: number, max: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalid(`must have whole numbers from ${min} to ${max}`);
}

function finite(value: unknown): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw invalid("must have finite numbers");
}

function invalid(what: string): Failure {
  return new Failure("media-invalid", `control message: ${what}`);
}
