/** A line of the access log: one JSON object a request, its members always in this order. Pure. */
import type { CacheOutcome } from "../events.ts";

/** A longer one is cut. */
export const TARGET_CHARACTERS_MAX = 2_048;
const USER_AGENT_CHARACTERS_MAX = 512;
const WORD_CHARACTERS_MAX = 255;

/** What requests of one connection have in common. */
export interface LoggedClient {
  readonly remoteAddress: string;
  readonly host: string | undefined;
  /** `HTTP/1.1`. */
  readonly protocol: string;
  readonly userAgent: string | undefined;
}

export interface LoggedAnswer {
  /** 0 where none was sent. */
  readonly status: number;
  /** Of content. */
  readonly bytes: number;
  /** Absent where no store was asked. */
  readonly cache?: CacheOutcome | undefined;
}

export interface LoggedRequest {
  /** ISO 8601. */
  readonly time: string;
  /** By `clientText`. */
  readonly client: string;
  readonly method: string;
  readonly target: string;
  readonly requestId?: string | undefined;
  /** By `answerText`. */
  readonly answer: string;
  readonly durationUs: number;
  /** Whether the client went away before its end. */
  readonly isAborted?: boolean;
}

export function accessLine(request: LoggedRequest): string {
  const { time, client, method, target, requestId, answer, durationUs, isAborted = false } = request;
  const id = requestId === undefined ? "" : `,"requestId":${quoted(requestId, WORD_CHARACTERS_MAX)}`;
  const asked = `"method":${quoted(method, WORD_CHARACTERS_MAX)},"target":${quoted(target, TARGET_CHARACTERS_MAX)}`;
  return `{"time":"${time}",${client},${asked}${id},${answer},"durationUs":${durationUs}${isAborted ? ',"aborted":true' : ""}}\n`;
}

/** The parts of a line of the fast lane, whose method and target need no quotes: `before`, target, `after`, duration. */
export interface PlainParts {
  /** Bytes of a connection, by `plainBefore`. */
  readonly before: Uint8Array;
  /** Bytes of an answer, by `plainAfter`. */
  readonly after: Uint8Array;
}

export function plainBefore(client: string, method: string): Uint8Array {
  return Buffer.from(`${client},"method":"${method}","target":"`);
}

export function plainAfter(answer: string): Uint8Array {
  return Buffer.from(`",${answer},"durationUs":`);
}

export function clientText({ remoteAddress, host, protocol, userAgent }: LoggedClient): string {
  const named = `"remote":${quoted(remoteAddress, WORD_CHARACTERS_MAX)}${member("host", host, WORD_CHARACTERS_MAX)}`;
  return `${named},"protocol":"${protocol}"${member("userAgent", userAgent, USER_AGENT_CHARACTERS_MAX)}`;
}

export function answerText({ status, bytes, cache }: LoggedAnswer): string {
  return `"status":${status},"bytes":${bytes}${cache === undefined ? "" : `,"cache":"${cache}"`}`;
}

function member(name: string, value: string | undefined, charactersMax: number): string {
  return value === undefined ? "" : `,"${name}":${quoted(value, charactersMax)}`;
}

function quoted(text: string, charactersMax: number): string {
  return JSON.stringify(text.slice(0, charactersMax));
}
