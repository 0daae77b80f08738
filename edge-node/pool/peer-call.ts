/** Decides whether a request of another edge is answered here, and as what. Pure. */
import { type Fields, fieldValue } from "#domain/http/fields.ts";
import type { ConnectedPeer } from "#platform/identity/peer.ts";
import { isBehind, type PurgeMark } from "../desired-state/applied-purges.ts";
import type { PeerAsker } from "../request/peer-asker.ts";
import type { TierView } from "./membership.ts";
import { type DeclineReason, parseTierRequest } from "./tier-fields.ts";

export interface PeerCall {
  readonly method: string;
  readonly fields: Fields;
  /** `undefined` where TLS did not verify the certificate. */
  readonly peer: ConnectedPeer | undefined;
}

export interface PeerTrustFacts {
  readonly view: Pick<TierView, "childPools">;
  readonly pool: string;
  /** Whether the set has it as an edge of this pool. */
  readonly isMember: (peer: ConnectedPeer) => boolean;
  readonly isRevoked: (peer: ConnectedPeer) => boolean;
}

export interface PeerCallFacts extends PeerTrustFacts {
  readonly applied: PurgeMark;
  readonly isServed: (site: string) => "served" | "unknown" | "denied";
  readonly isOverloaded: boolean;
}

export type PeerCallDecision =
  | { readonly kind: "answer"; readonly site: string; readonly host: string; readonly asker: PeerAsker }
  | { readonly kind: "decline"; readonly reason: DeclineReason };

/** Who asks is told by the certificate alone. */
export function decidePeerCall(call: PeerCall, facts: PeerCallFacts): PeerCallDecision {
  const askedBy = call.peer && askedByOf(call.peer, facts);
  if (askedBy === undefined) return { kind: "decline", reason: "untrusted" };
  const asked = parseTierRequest(call.fields);
  if (asked === undefined || call.method !== "GET" || hasContent(call.fields)) {
    return { kind: "decline", reason: "malformed" };
  }
  const { site, scheme, host } = asked;
  const isServed = facts.isServed(site);
  if (isServed !== "served") return { kind: "decline", reason: isServed === "denied" ? "denied" : "unknown-site" };
  // What a purge that the asker has applied was for may still be stored here.
  if (isBehind(facts.applied, asked.applied)) return { kind: "decline", reason: "behind" };
  if (facts.isOverloaded) return { kind: "decline", reason: "overloaded" };
  return { kind: "answer", site, host, asker: { askedBy, scheme } };
}

/** Blobs are for edges of this pool alone. */
export function isSibling(peer: ConnectedPeer | undefined, facts: PeerTrustFacts): boolean {
  return peer !== undefined && askedByOf(peer, facts) === "sibling";
}

/** The nodes of a child pool are not in this pool's set: its certificate and the pool's `parent` are what counts. */
function askedByOf(peer: ConnectedPeer, facts: PeerTrustFacts): PeerAsker["askedBy"] | undefined {
  if (peer.role !== "edge" || facts.isRevoked(peer)) return undefined;
  if (peer.pool === facts.pool) return facts.isMember(peer) ? "sibling" : undefined;
  return facts.view.childPools.has(peer.pool) ? "child" : undefined;
}

function hasContent(fields: Fields): boolean {
  return fields.has("transfer-encoding") || Number(fieldValue(fields, "content-length") ?? 0) !== 0;
}
