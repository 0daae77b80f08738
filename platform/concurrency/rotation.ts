/** Takes turns over what may change meanwhile, in an order of its own: who lost one do not all go to the same next. */
import { assert } from "#domain/assert.ts";
import { rankMembers } from "#domain/placement/bounded-load-hash.ts";
import type { Random } from "../random.ts";

export class Rotation {
  readonly #list: () => readonly string[];
  /** The order of two items for a key is the same whoever else is listed: what comes and goes passes nobody over. */
  readonly #key: string;
  #last: string | undefined;

  /** `list` is asked at each turn and gives one at least. */
  constructor(list: () => readonly string[], random: Pick<Random, "uuid">) {
    this.#list = list;
    this.#key = random.uuid();
  }

  /** The one after the last that was given; each comes once in a round. */
  next(): string {
    const [next] = this.#upcoming();
    assert(next !== undefined, "a rotation has something to give");
    this.#last = next;
    return next;
  }

  /** All, each once: the last that was given, where it is still listed, then the others as their turns will come. */
  round(): readonly string[] {
    const upcoming = this.#upcoming();
    const last = upcoming.at(-1);
    return last !== undefined && last === this.#last ? [last, ...upcoming.slice(0, -1)] : upcoming;
  }

  #upcoming(): readonly string[] {
    const items = new Set(this.#list());
    const last = this.#last;
    const order = rankMembers(this.#key, [...new Set(last === undefined ? items : [...items, last])]);
    const from = last === undefined ? 0 : order.indexOf(last) + 1;
    return [...order.slice(from), ...order.slice(0, from)].filter((item) => items.has(item));
  }
}
