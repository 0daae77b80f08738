/** Why an edge does not relay for a sibling, or no longer: the words that go over the wire, and what the sibling does then. */
import type { OriginMessage } from "#contracts/generated/perigee/v1/node_pb.js";
import { Failure } from "#domain/failure.ts";

export const RELAY_REFUSALS = {
  /** No link of its own to the origin stands: it will soon, or somebody else's does. */
  "not-linked": "ask-again",
  /** It does not take what the origin sends. */
  "not-synced": "go-direct",
  /** The certificate is no sibling's, as far as is known there. */
  untrusted: "go-direct",
  /** It has as many siblings as it takes. */
  full: "go-direct",
  /** The sibling holds a later state of the set. */
  ahead: "go-direct",
  /** Nothing that is stored there continues what the sibling holds. */
  diverged: "go-direct",
  /** A snapshot is for the origin to make. */
  "snapshot-wanted": "go-direct",
  /** The sibling took what was sent too slowly, was silent, or has another stream: it may take up where it was. */
  ended: "ask-again",
} as const satisfies Readonly<Record<string, "ask-again" | "go-direct">>;

export type RelayRefusal = keyof typeof RELAY_REFUSALS;

/** In the field by which a relay declines, and in a `Refusal` of the stream. */
export function parseRelayRefusal(text: string): RelayRefusal | undefined {
  return isRefusal(text) ? text : undefined;
}

function isRefusal(text: string): text is RelayRefusal {
  return Object.hasOwn(RELAY_REFUSALS, text);
}

/** Thrown where a stream to a relay ends by the relay's word, or by one of the origin that it passed on. */
export class RelayRefused extends Failure {
  readonly goesDirect: boolean;

  constructor(relay: string, said: { readonly code: string; readonly message: string }) {
    super("unavailable", `${relay} does not relay: ${said.message || said.code}`, { retryable: true });
    const refusal = parseRelayRefusal(said.code);
    this.goesDirect = refusal === undefined || RELAY_REFUSALS[refusal] === "go-direct";
  }
}

export function refusalMessage(code: RelayRefusal, message = "") {
  return { message: { case: "refusal" as const, value: { code, message, retryAfterSeconds: 0 } } };
}

export function refusalIn({ message }: OriginMessage): { readonly code: string; readonly message: string } | undefined {
  return message.case === "refusal" ? message.value : undefined;
}
