/** Keeps since when each condition holds. */
import type { Condition } from "#domain/fleet/node.ts";

type Said = Omit<Condition, "sinceMs">;

export class Conditions {
  readonly #held = new Map<Condition["type"], Condition>();

  /** `sinceMs` moves only when `status` does. */
  set(said: Said, nowMs: number): Condition {
    const before = this.#held.get(said.type);
    const sinceMs = before?.status === said.status ? before.sinceMs : nowMs;
    const condition = { ...said, sinceMs };
    this.#held.set(said.type, condition);
    return condition;
  }
}
