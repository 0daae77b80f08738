/** How much parity a session's frames get, by what of their fragments was lost: up at once, down slowly. Pure. */
import { type FragmentLoss, PARITY_RATIO } from "#contracts/media/fragments.ts";

/** One loss in a frame is always repaired: the next is never far. */
export const PARITY_RATIO_MIN = 0.1;
/** Beyond it the path is full rather than bad, and more bytes make it worse. */
export const PARITY_RATIO_MAX = 0.5;
/** Parity over data for each share lost: losses come in groups, and a frame of a dozen fragments may lose three at 1 %. */
const PARITY_PER_LOSS = 10;
/** Two losses in less say nothing of a share. */
const JUDGED_FRAGMENTS_MIN = 200;
/** For every so many fragments: from the most to the least in some seconds. */
const STEP_DOWN = 0.02;

export class ParityShare {
  #ratio = PARITY_RATIO;
  #received = 0;
  #lost = 0;

  /** Parity over data. */
  get ratio(): number {
    return this.#ratio;
  }

  add({ received, lost }: FragmentLoss): void {
    this.#received += received;
    this.#lost += lost;
    const judged = this.#received + this.#lost;
    const lossRatio = this.#lost / Math.max(judged, JUDGED_FRAGMENTS_MIN);
    const wanted = Math.min(PARITY_RATIO_MAX, PARITY_RATIO_MIN + PARITY_PER_LOSS * lossRatio);
    this.#ratio = Math.max(this.#ratio, wanted);
    if (judged < JUDGED_FRAGMENTS_MIN) return;
    this.#ratio = Math.max(wanted, this.#ratio - STEP_DOWN);
    this.#received = 0;
    this.#lost = 0;
  }
}
