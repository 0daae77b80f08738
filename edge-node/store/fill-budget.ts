/** How much of bodies that are still arriving is held in memory, all of them together. */

/** The other half is for what has arrived. */
export const FILLS_MEMORY_RATIO = 0.5;
/** Bodies go to the disk by way of memory also where little is kept there. */
export const FILLS_MEMORY_BYTES_MIN = 32 * 1024 * 1024;

export class FillBudget {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(memoryBytesMax: number) {
    this.#bytesMax = Math.max(FILLS_MEMORY_BYTES_MIN, memoryBytesMax * FILLS_MEMORY_RATIO);
  }

  /** False, and nothing is taken, where it would be too much. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}
