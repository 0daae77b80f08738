/**
 * Decides by how many connections a session's frames go, and by which of them each fragment. SCTP sends no more at once
 * than its congestion window, which each loss brings down to four packets (RFC 9260 section 7.2.3), and the rest of a
 * frame waits for a round trip: a frame's share of one connection has to fit into it. Pure.
 */
import { STRIPES_MAX } from "#contracts/media/control.ts";

/** Of a frame, by one connection. */
export const FRAGMENTS_PER_STRIPE = 5;

/** With some for the parity alone, so that a connection which is held back costs nothing that cannot be repaired. */
export function planStripes(dataCount: number, parityCount: number): number {
  if (dataCount + parityCount <= FRAGMENTS_PER_STRIPE) return 1;
  const wanted = Math.ceil(dataCount / FRAGMENTS_PER_STRIPE) + Math.ceil(parityCount / FRAGMENTS_PER_STRIPE);
  return Math.min(STRIPES_MAX, wanted);
}

export interface SpreadFrame {
  readonly frameNumber: number;
  readonly dataCount: number;
  readonly parityCount: number;
}

/**
 * For each fragment, data first, the connection it goes by. Parity goes by other connections than its data where those
 * take their part at once; they take turns at it, frame by frame. Where there are too few for that all share all.
 */
export function spreadFragments({ frameNumber, dataCount, parityCount }: SpreadFrame, stripes: number): Uint8Array {
  const count = dataCount + parityCount;
  const needed = Math.ceil(dataCount / FRAGMENTS_PER_STRIPE);
  const forData = Math.max(needed, Math.floor((stripes * dataCount) / count));
  const forParity = stripes - forData;
  const isApart = forParity > 0;
  return Uint8Array.from({ length: count }, (_, index) => {
    const apart = index < dataCount ? index % forData : forData + ((index - dataCount) % forParity);
    return ((isApart ? apart : index) + frameNumber) % stripes;
  });
}
