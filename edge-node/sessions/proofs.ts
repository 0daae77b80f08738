/** Checks that a client holds its key: each proof once, for this call at this node (RFC 9449). */
import { Failure } from "#domain/failure.ts";
import { parseHostName } from "#domain/ids.ts";
import type { Clock } from "#platform/clock.ts";
import { type ProvenKey, verifyProof } from "#platform/identity/dpop.ts";
import { ProofMemory } from "#platform/identity/proof-memory.ts";

/** 80 calls a second for ten minutes: more is an attack, and the oldest is forgotten. */
export const PROOFS_REMEMBERED_MAX = 50_000;

export interface ProvenCall {
  readonly method: string;
  /** As the client may have called it, without query. */
  readonly urls: readonly string[];
  /** Aborted when the client waits no longer. */
  readonly signal: AbortSignal;
}

export class Proofs {
  readonly #clock: Clock;
  readonly #memory: ProofMemory;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#memory = new ProofMemory({ clock, entriesMax: PROOFS_REMEMBERED_MAX });
  }

  /** Throws `proof-invalid`. What it gives is not used up yet. */
  verify(proof: string, { method, urls }: Pick<ProvenCall, "method" | "urls">): Promise<ProvenKey> {
    return verifyProof(proof, { method, urls, nowMs: this.#clock.nowMs() });
  }

  /** Throws `proof-invalid` for another key than the session's, and for a proof that was used before. */
  use({ thumbprint, proofId }: ProvenKey, expected: string): void {
    if (thumbprint !== expected) throw new Failure("proof-invalid", "the proof is of another key than the session's");
    // Of the key too: nobody uses up another client's.
    if (this.#memory.remember(`${thumbprint}.${proofId}`)) return;
    throw new Failure("proof-invalid", "the proof was used before: make a new one for each call");
  }
}

export interface NodeNames {
  readonly contentUrl: string;
  readonly hostname: string;
  /** By a Host field: whether a site that this node knows has the name. */
  readonly isSite: (host: string | undefined) => boolean;
}

/**
 * The node's own address, any host name under the node's, and the names of sites: whatever port leads here. A page that
 * came by its site's name knows no other. Pure.
 */
export function urlsOf(
  path: string,
  host: string | undefined,
  { contentUrl, hostname, isSite }: NodeNames,
): readonly string[] {
  const name = parseHostName((host ?? "").replace(/:\d{1,5}$/, "")) ?? "";
  const own = hostname.toLowerCase();
  const isOurs = name === own || name.endsWith(`.${own}`) || isSite(host);
  const { protocol } = new URL(contentUrl);
  return [`${contentUrl}${path}`, ...(isOurs ? [`${protocol}//${(host ?? "").toLowerCase()}${path}`] : [])];
}
