/** How many sessions a pool holds of render classes as they are wanted. Pure. */

/** Those that most sessions want; what the others want is like them. */
export const CLASSES_PRICED_MAX = 8;

/** What a pool has of a class. */
export interface ClassCapacity {
  readonly isOpen: boolean;
  readonly slotsTotal: number;
  readonly slotsFree: number;
  /** Render + encode p95; undefined where nothing holds the class. */
  readonly frameMsP95: number | undefined;
}

export interface WantedSlots {
  /** Sessions at once. */
  readonly slots: number;
  readonly slotsUsed: number;
  /** Of rendering and encoding, as what is wanted has it on average. */
  readonly frameMs: number;
}

/** The classes that count, with how many sessions want each. */
export function mostWanted(wanted: ReadonlyMap<string, number>): readonly (readonly [string, number])[] {
  return [...wanted].sort(([, a], [, b]) => b - a).slice(0, CLASSES_PRICED_MAX);
}

/**
 * A session takes one of the slots that its class has in all, so the more of a class the fewer slots. Undefined where
 * the pool is silent or holds nothing that is wanted.
 */
export function countSlots(
  classes: readonly { readonly capacity: ClassCapacity; readonly weight: number }[],
): WantedSlots | undefined {
  let weights = 0;
  let share = 0;
  let used = 0;
  let frames = 0;
  for (const { capacity, weight } of classes) {
    const { isOpen, slotsTotal, slotsFree, frameMsP95 } = capacity;
    if (!isOpen || slotsTotal === 0 || frameMsP95 === undefined) continue;
    weights += weight;
    share += weight / slotsTotal;
    used += weight * (1 - slotsFree / slotsTotal);
    frames += weight * frameMsP95;
  }
  if (weights === 0) return undefined;
  const slots = weights / share;
  return { slots, slotsUsed: (slots * used) / weights, frameMs: frames / weights };
}
