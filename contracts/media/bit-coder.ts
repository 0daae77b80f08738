/**
 * Codes bits by adaptive probabilities (a binary range coder with carry, Martin 1979; 12-bit probabilities as in LZMA).
 * Pure; the same file in the browser.
 */

const PROBABILITY_BITS = 12;
const EVEN = 1 << (PROBABILITY_BITS - 1);
/** A sixteenth of the way towards each bit: planes are short, so that probabilities have to be learned fast. */
const ADAPTATION_SHIFT = 4;
const RANGE_MIN = 2 ** 24;
const WORD = 2 ** 32;
const CODE_BYTES = 4;

/** The bit that was coded: when writing the one given, when reading the one found. */
export interface BitCoder {
  code(context: number, bit: number): number;
}

/** How likely a bit of each context is 0. */
class Probabilities {
  readonly #of: Uint16Array<ArrayBuffer>;

  constructor(contexts: number) {
    this.#of = new Uint16Array(contexts).fill(EVEN);
  }

  /** The part of a range that stands for a bit of 0. */
  share(context: number, range: number): number {
    return (range >>> PROBABILITY_BITS) * (this.#of[context] ?? EVEN);
  }

  learn(context: number, bit: number): void {
    const probability = this.#of[context] ?? EVEN;
    const rest = (1 << PROBABILITY_BITS) - probability;
    this.#of[context] = probability + (bit === 0 ? rest >> ADAPTATION_SHIFT : -(probability >> ADAPTATION_SHIFT));
  }
}

export class BitWriter implements BitCoder {
  readonly #probabilities: Probabilities;
  readonly #bytes: number[] = [];
  #low = 0;
  #range = WORD - 1;
  /** The last byte and 255s after it wait: a carry may still come. */
  #waiting = 0;
  #full = 0;
  #isFirst = true;

  constructor(contexts: number) {
    this.#probabilities = new Probabilities(contexts);
  }

  code(context: number, bit: number): number {
    const share = this.#probabilities.share(context, this.#range);
    if (bit === 0) this.#range = share;
    else {
      this.#low += share;
      this.#range -= share;
    }
    this.#probabilities.learn(context, bit);
    while (this.#range < RANGE_MIN) {
      this.#range *= 256;
      this.#shift();
    }
    return bit;
  }

  /** All that was coded; nothing follows. Zeros at the end are left out: a reader finds them there. */
  finish(): Uint8Array<ArrayBuffer> {
    for (let byte = 0; byte <= CODE_BYTES; byte += 1) this.#shift();
    return new Uint8Array(this.#bytes.slice(0, this.#bytes.findLastIndex((byte) => byte !== 0) + 1));
  }

  #shift(): void {
    const carry = this.#low >= WORD ? 1 : 0;
    const low = this.#low % WORD;
    if (carry === 1 || low < 255 * RANGE_MIN) {
      // Before the first byte there is none that waits.
      if (!this.#isFirst) this.#bytes.push((this.#waiting + carry) & 255);
      this.#isFirst = false;
      for (; this.#full > 0; this.#full -= 1) this.#bytes.push((255 + carry) & 255);
      this.#waiting = Math.floor(low / RANGE_MIN);
    } else this.#full += 1;
    this.#low = (low % RANGE_MIN) * 256;
  }
}

/** Gives bits of any bytes, and of those after their end too. */
export class BitReader implements BitCoder {
  readonly #probabilities: Probabilities;
  readonly #bytes: Uint8Array;
  #at = 0;
  #code = 0;
  #range = WORD - 1;

  constructor(contexts: number, bytes: Uint8Array) {
    this.#probabilities = new Probabilities(contexts);
    this.#bytes = bytes;
    for (let byte = 0; byte < CODE_BYTES; byte += 1) this.#shift();
    // No writer gives more; a code outside its range would never come back into it.
    this.#code = Math.min(this.#code, this.#range - 1);
  }

  code(context: number): number {
    const share = this.#probabilities.share(context, this.#range);
    const bit = this.#code < share ? 0 : 1;
    if (bit === 0) this.#range = share;
    else {
      this.#code -= share;
      this.#range -= share;
    }
    this.#probabilities.learn(context, bit);
    while (this.#range < RANGE_MIN) {
      this.#range *= 256;
      this.#shift();
    }
    return bit;
  }

  /** Bytes that no bit needed. */
  get unread(): number {
    return Math.max(0, this.#bytes.byteLength - this.#at);
  }

  #shift(): void {
    this.#code = this.#code * 256 + (this.#bytes[this.#at] ?? 0);
    this.#at += 1;
  }
}
