/** One frame being put together from its fragments, block by block. Pure; the same file in the browser. */
import { repairBlock } from "./erasure-code.ts";
import type { Shape } from "./fragments.ts";

type Part = Uint8Array | undefined;

export class Assembly {
  readonly #shape: Shape;
  /** 1 for each fragment that has come. */
  readonly #seen: Uint8Array;
  /** How many have come of each block. */
  readonly #present: Uint16Array;
  /** Payloads by index; made as they come, so that what a fragment claims costs nothing. */
  #parts: Part[] = [];
  #blocksOpen: number;
  #isOver = false;
  received = 0;
  /** Data fragments made again from parity. */
  repaired = 0;

  constructor(shape: Shape) {
    this.#shape = shape;
    this.#seen = new Uint8Array(shape.dataCount + shape.parityCount);
    this.#present = new Uint16Array(shape.blocks);
    this.#blocksOpen = shape.blocks;
  }

  get missing(): number {
    return this.#seen.length - this.received;
  }

  isOf({ dataCount, parityCount, totalBytes, blocks }: Shape): boolean {
    const own = this.#shape;
    const isSame = own.dataCount === dataCount && own.parityCount === parityCount && own.blocks === blocks;
    return isSame && own.totalBytes === totalBytes;
  }

  /** From now on fragments are counted only. */
  giveUp(): void {
    this.#isOver = true;
    this.#parts = [];
  }

  /** The whole frame when this payload makes it so; it is copied. One that has come already changes nothing. */
  add(index: number, payload: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    if (this.#seen[index] === 1) return undefined;
    this.#seen[index] = 1;
    this.received += 1;
    if (this.#isOver) return undefined;
    const { dataCount, blocks } = this.#shape;
    const block = (index < dataCount ? index : index - dataCount) % blocks;
    const needed = Math.ceil((dataCount - block) / blocks);
    const present = (this.#present[block] ?? 0) + 1;
    this.#present[block] = present;
    if (present > needed) return undefined;
    this.#parts[index] = payload.slice();
    if (present < needed) return undefined;
    this.#repair(block);
    this.#blocksOpen -= 1;
    return this.#blocksOpen === 0 ? this.#join() : undefined;
  }

  #repair(block: number): void {
    const { dataCount, parityCount, blocks, payloadBytes } = this.#shape;
    const data: Uint8Array[] = [];
    const lost: number[] = [];
    for (let index = block; index < dataCount; index += blocks) {
      if (this.#parts[index] === undefined) lost.push(data.length);
      const part = this.#parts[index] ?? new Uint8Array(payloadBytes);
      this.#parts[index] = part;
      data.push(part);
    }
    if (lost.length === 0) return;
    const parity: { row: number; bytes: Uint8Array }[] = [];
    for (let at = block; at < parityCount; at += blocks) {
      const bytes = this.#parts[dataCount + at];
      if (bytes !== undefined) parity.push({ row: Math.floor(at / blocks), bytes });
    }
    repairBlock({ data, lost, parity });
    this.repaired += lost.length;
  }

  #join(): Uint8Array<ArrayBuffer> {
    const { dataCount, totalBytes, payloadBytes } = this.#shape;
    const whole = new Uint8Array(totalBytes);
    for (let index = 0; index < dataCount; index += 1) {
      const begin = index * payloadBytes;
      whole.set(this.#parts[index]?.subarray(0, totalBytes - begin) ?? [], begin);
    }
    return whole;
  }
}
