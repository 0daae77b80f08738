/** CDN-Loop (RFC 8586): whether a request has been here before, and what it says of here when it goes on. Pure. */
import { type Fields, listMembers } from "./fields.ts";

export const CDN_LOOP = "cdn-loop";

/** An edge, its sibling, parents and their siblings, and a CDN or two in front; more is a loop through others. */
export const CDN_HOPS_MAX = 10;

export type LoopDecision =
  | { readonly kind: "pass" }
  | { readonly kind: "loop"; readonly because: "own-id" | "too-many-hops" };

/** `ownId` is a host name with or without a port, or a pseudonym (section 2), in lower case. */
export function decideLoop(request: Fields, ownId: string): LoopDecision {
  const ids = cdnIdsOf(request);
  if (ids.includes(ownId)) return { kind: "loop", because: "own-id" };
  return ids.length >= CDN_HOPS_MAX ? { kind: "loop", because: "too-many-hops" } : { kind: "pass" };
}

/** The field lines as the next hop gets them: what was there stays as it is, the own id at the end. */
export function withOwnId(request: Fields, ownId: string): readonly string[] {
  return [...(request.get(CDN_LOOP) ?? []), ownId];
}

/** In lower case, without parameters, in the order of the hops. Line by line: a quote left open hides no other line. */
function cdnIdsOf(request: Fields): readonly string[] {
  const members = (request.get(CDN_LOOP) ?? []).flatMap(listMembers);
  return members.map((member) => (member.split(";", 1)[0] ?? "").trim().toLowerCase());
}
