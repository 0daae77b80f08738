/** Small numbers for the names of pools, the same as long as a name is in use: what records hold in place of names. Pure. */
import { assert } from "../assert.ts";

/** Two bytes. */
export const POOL_IDS_MAX = 65_536;

export class PoolIds {
  /** In the order in which they were last asked for. */
  readonly #ids = new Map<string, number>();
  readonly #names: string[] = [];
  readonly #idsMax: number;

  constructor(idsMax = POOL_IDS_MAX) {
    this.#idsMax = idsMax;
  }

  /** Once all are given, the one not asked for for longest is given anew. */
  idOf(name: string): number {
    const known = this.#ids.get(name);
    if (known !== undefined) this.#ids.delete(name);
    const id = known ?? this.#freeId();
    this.#ids.set(name, id);
    this.#names[id] = name;
    return id;
  }

  nameOf(id: number): string {
    const name = this.#names[id];
    assert(name !== undefined, "an id was given for a name");
    return name;
  }

  #freeId(): number {
    if (this.#names.length < this.#idsMax) return this.#names.length;
    const [oldest] = this.#ids;
    assert(oldest !== undefined, "there is at least one id");
    this.#ids.delete(oldest[0]);
    return oldest[1];
  }
}
