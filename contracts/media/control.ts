/** What client and agent say to each other on the reliable channel: one JSON text a message. Pure; the same file in the browser. */
import { Failure } from "#domain/failure.ts";

export type ControlMessage =
  /** client → agent: a frame is missing; the next one must be decodable by itself. */
  | { readonly type: "keyframe-request" }
  /** client → agent, at least every HEARTBEAT_MS while no pose is sent. */
  | { readonly type: "heartbeat" }
  /** agent → client by data channels, at most once a second: send the content back, at once. */
  | { readonly type: "echo-request"; readonly content: string }
  /** client → agent: the content of the request. */
  | { readonly type: "echo"; readonly content: string }
  /** Either way: nothing follows. */
  | { readonly type: "session-end"; readonly reason: string }
  /** agent → client, once a second. */
  | {
      readonly type: "statistics";
      readonly framesRendered: number;
      readonly renderMsP95: number;
      readonly encodeMsP95: number;
    };

export const CHANNELS = { poses: "poses", frames: "frames", control: "control" } as const;
export const HEARTBEAT_MS = 500;
export const CONTROL_BYTES_MAX = 4_096;
const REASON_CHARACTERS_MAX = 200;
export const ECHO_CHARACTERS_MAX = 64;

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
    case "session-end":
      return { type: "session-end", reason: String(value["reason"]).slice(0, REASON_CHARACTERS_MAX) };
    case "statistics":
      return {
        type: "statistics",
        framesRendered: finite(value["framesRendered"]),
        renderMsP95: finite(value["renderMsP95"]),
        encodeMsP95: finite(value["encodeMsP95"]),
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

function echoed(value: unknown): string {
  if (typeof value === "string" && value.length <= ECHO_CHARACTERS_MAX) return value;
  throw invalid(`must have a content of at most ${ECHO_CHARACTERS_MAX} characters`);
}

function finite(value: unknown): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw invalid("must have finite numbers");
}

function invalid(what: string): Failure {
  return new Failure("media-invalid", `control message: ${what}`);
}
