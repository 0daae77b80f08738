/** Which revision of the pool's set every process of this node answers by: that is what the node says it has applied. */
import { isDeepStrictEqual } from "node:util";
import type { Watermark } from "#domain/desired-state.ts";
import type { DesiredSite } from "./desired-view.ts";

/** Other processes with copies of stored responses. */
interface CopyKeepers {
  /** All of a site. */
  forget(site: string): Promise<void>;
}

type Sites = ReadonlyMap<string, DesiredSite>;

export interface SetInForceOptions {
  readonly set: { readonly watermark: Watermark | undefined };
  /** Purges and changes that have been told to other processes, and not confirmed by all. */
  readonly store: { readonly settling: Promise<void> | undefined };
  readonly onApplied: (revision: number) => void;
  /** It was not at once that the set came into force. */
  readonly onLate: () => void;
}

export class SetInForce {
  readonly #options: SetInForceOptions;
  #watermark: Watermark | undefined;
  #copies: CopyKeepers | undefined;

  constructor(options: SetInForceOptions) {
    this.#options = options;
    this.#watermark = options.set.watermark;
  }

  get watermark(): Watermark | undefined {
    return this.#watermark;
  }

  shareWith(copies: CopyKeepers): void {
    this.#copies = copies;
  }

  /** This process answers for the site with another release. */
  activated(site: string): void {
    void this.#copies?.forget(site);
  }

  /** This process answers by the set as it is now. */
  applied(before: Sites, after: Sites): void {
    const { set, store, onLate } = this.#options;
    if (this.#copies !== undefined) for (const name of changedSites(before, after)) void this.#copies.forget(name);
    const { watermark } = set;
    if (store.settling === undefined) this.#put(watermark);
    else void store.settling.then(() => this.#put(watermark)).then(onLate);
  }

  #put(watermark: Watermark | undefined): void {
    this.#watermark = watermark;
    this.#options.onApplied(watermark?.revision ?? 0);
  }
}

/** Those that are in one only, too. */
function changedSites(before: Sites, after: Sites): readonly string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => !isDeepStrictEqual(before.get(name), after.get(name)));
}
