/** Which siblings an edge asks to relay the watch before it goes to the origin itself, in order. Pure. */
import { rankMembers } from "#domain/placement/bounded-load-hash.ts";
import type { Peer, TierView } from "../pool/membership.ts";

/** Not a key of anything that is stored: those have a method and a site in them. */
const WATCH_KEY = "watch";

/**
 * Those before itself in the pool's order: the first one asks none and goes to the origin. Since the order of two members
 * does not depend on who else is there, no two edges relay for one another, whatever each of them believes.
 */
export function relaysBefore(pool: string, { self, isMember, siblings }: TierView): readonly Peer[] {
  if (siblings.length === 0) return [];
  const names = siblings.map(({ name }) => name);
  const ranked = rankMembers(`${pool} ${WATCH_KEY}`, isMember ? [...names, self] : names);
  const before = isMember ? ranked.slice(0, ranked.indexOf(self)) : ranked;
  return before.flatMap((name) => siblings.find((peer) => peer.name === name) ?? []);
}
