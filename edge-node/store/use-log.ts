/** How often what is on disk was used, by target and slice, until it is written down. Pure. */
import type { Uses } from "./memory-tier.ts";

export class UseLog {
  #uses = new Map<string, Uses>();

  get size(): number {
    return this.#uses.size;
  }

  note(cacheKey: string, slice: number | undefined): void {
    const name = `${cacheKey} ${slice ?? ""}`;
    this.#uses.set(name, { cacheKey, slice, uses: (this.#uses.get(name)?.uses ?? 0) + 1 });
  }

  take(): readonly Uses[] {
    const taken = [...this.#uses.values()];
    this.#uses = new Map();
    return taken;
  }
}
