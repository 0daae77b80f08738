/** A line of the access log: one JSON object a request, its members always in this order. Pure. */
import type { CacheOutcome } from "../events.ts";

/** A longer one is cut. */
const TARGET_CHARACTERS_MAX = 2_048;
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

/** For a method and a target that need no quotes. What it is made of comes one by one: an object for it cost a hit 1 µs. */
export function plainAccessLine(
  time: string,
  client: string,
  method: string,
  target: string,
  answer: string,
  durationUs: number,
): string {
  const shown = target.length > TARGET_CHARACTERS_MAX ? target.slice(0, TARGET_CHARACTERS_MAX) : target;
  return `{"time":"${time}",${client},"method":"${method}","target":"${shown}",${answer},"durationUs":${durationUs}}\n`;
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
