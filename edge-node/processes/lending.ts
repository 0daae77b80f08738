/** What the main process has lent to its front processes: copies of stored responses, taken back when they change. */
import type { Clock } from "#platform/clock.ts";
import { variantKey, varyNames } from "../caching/variants.ts";
import type { LaneRequest } from "../front/fast-lane.ts";
import type { Hit } from "../front/prepared-hits.ts";
import type { PurgeOrder } from "../store/purging.ts";
import type { CopyHolders } from "../store/response-store.ts";
import { cacheKeyOf, type StoredResponse } from "../store/stored-response.ts";
import { COPY_BODY_BYTES_MAX } from "./copies.ts";
import type { FromFront, FromMain } from "./messages.ts";

/** Targets lent to one process; the longest lent is taken back for another. */
export const LENT_MAX = 65_536;

type OneSided = Extract<FromMain, { id: number }>;
/** What is to be in effect before its answer. */
export type Order = OneSided extends infer M ? (M extends OneSided ? Omit<M, "id"> : never) : never;

export interface Borrower {
  send(message: FromMain): void;
  /** Resolves once the order is in effect there, or the process is no more. */
  order(order: Order): Promise<void>;
}

export interface LendingStore {
  lendTo(holders: CopyHolders): void;
  touch(cacheKey: string): void;
  varyNamesOf(cacheKey: string): readonly string[];
}

/** What the fast lane here would answer at once, where nothing stands before it that is decided for each request. */
export type Find = (request: LaneRequest, nowMs: number) => Hit | undefined;

export interface LendingOptions {
  readonly store: LendingStore;
  readonly clock: Pick<Clock, "nowMs">;
  readonly find: Find;
}

export class Lending implements CopyHolders {
  readonly #options: LendingOptions;
  /** Cache keys, the longest lent first. */
  readonly #lent = new Map<Borrower, Set<string>>();
  #settling: Promise<void> | undefined;

  constructor(options: LendingOptions) {
    this.#options = options;
    options.store.lendTo(this);
  }

  get settling(): Promise<void> | undefined {
    return this.#settling;
  }

  join(borrower: Borrower): void {
    this.#lent.set(borrower, new Set());
  }

  /** It is no more, and has no copy. */
  leave(borrower: Borrower): void {
    this.#lent.delete(borrower);
  }

  lend(borrower: Borrower, { asked, host, fields }: Extract<FromFront, { kind: "want" }>): void {
    const stored = this.#find({ ...asked, host, fields, ...UNCONDITIONAL });
    const lent = this.#lent.get(borrower);
    if (stored !== undefined && lent !== undefined) {
      lent.add(cacheKeyOf(stored));
      const [oldest] = lent;
      if (lent.size > LENT_MAX && oldest !== undefined) this.changed(oldest);
    }
    borrower.send({ kind: "copy", asked, stored });
  }

  used(cacheKeys: readonly string[]): void {
    for (const cacheKey of cacheKeys) this.#options.store.touch(cacheKey);
  }

  changed(cacheKey: string): void {
    for (const [borrower, lent] of this.#lent)
      if (lent.delete(cacheKey)) this.#settle(borrower.order({ kind: "drop", cacheKey }));
  }

  ordered(order: PurgeOrder): Promise<void> {
    return this.#tellAll({ kind: "order", order });
  }

  /** All of a site, or of all; resolves once it is so. */
  forget(site: string | undefined): Promise<void> {
    return this.#tellAll({ kind: "forget", site });
  }

  #tellAll(order: Order): Promise<void> {
    const told = Promise.all([...this.#lent.keys()].map((borrower) => borrower.order(order))).then(() => undefined);
    this.#settle(told);
    return told;
  }

  #settle(told: Promise<void>): void {
    const all = this.#settling === undefined ? told : Promise.all([this.#settling, told]).then(() => undefined);
    this.#settling = all;
    void all.then(() => {
      if (this.#settling === all) this.#settling = undefined;
    });
  }

  /** With all the fields that tell the variants of its target apart, those by which it would be compressed included. */
  #find(request: LaneRequest): StoredResponse | undefined {
    const { store, clock, find } = this.#options;
    const hit = find(request, clock.nowMs());
    if (hit === undefined || hit.body.byteLength > COPY_BODY_BYTES_MAX) return undefined;
    const { stored, body } = hit;
    if (!("key" in stored)) return undefined;
    const names = [...new Set([...store.varyNamesOf(cacheKeyOf(stored)), ...varyNames(stored.fields)])].sort();
    return { ...stored, body, varyNames: names, variant: variantKey(names, request.fields) };
  }
}

const UNCONDITIONAL = { remoteAddress: "", isHead: false, ifNoneMatch: undefined, ifModifiedSince: undefined } as const;
