/** Shares the free slots among sessions that lose their pools together: as many as can be are placed within their limits. Pure. */
import { planBatch } from "./batch.ts";

/** A pool and render class that would take a session within its limit now; a promise of the ledger counts for all classes. */
export interface Fit {
  readonly pool: string;
  readonly renderClass: string;
  /** Of the class there, before any of these sessions. */
  readonly slotsFree: number;
}

/** By session its fits, the best first; the one that it gets, undefined where others need all of them more. */
export function shareFits(fits: readonly (readonly Fit[])[]): readonly (Fit | undefined)[] {
  const places = new Map<string, { readonly index: number; slotsFree: number }>();
  for (const fit of fits.flat()) {
    const known = places.get(keyOf(fit));
    if (known === undefined) places.set(keyOf(fit), { index: places.size, slotsFree: fit.slotsFree });
    else known.slotsFree = Math.min(known.slotsFree, fit.slotsFree);
  }
  const firstOf = new Uint32Array(fits.length + 1);
  for (const [session, own] of fits.entries()) firstOf[session + 1] = (firstOf[session] ?? 0) + own.length;
  const pairs = fits.flat();
  const { placed } = planBatch({
    firstOf,
    pools: Uint16Array.from(pairs, (fit) => places.get(keyOf(fit))?.index ?? 0),
    waiting: fits.map(() => 1),
    free: Array.from(places.values(), ({ slotsFree }) => slotsFree),
    running: new Int32Array(pairs.length),
    outside: Array.from(places, () => []),
    movesMax: 0,
  });
  return fits.map((own, session) => own.find((_, at) => (placed[(firstOf[session] ?? 0) + at] ?? 0) > 0));
}

/** A promise takes a slot of the pool, of whatever class: where classes have differently many, the fewest count. */
function keyOf({ pool }: Fit): string {
  return pool;
}
