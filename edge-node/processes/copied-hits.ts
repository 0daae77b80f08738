/** Finds hits among the copies of a front process, and asks the main process for copies of what it lacks again and again. */
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import type { HitFinder, LaneRequest } from "../front/fast-lane.ts";
import type { Hit } from "../front/prepared-hits.ts";
import { StoredHits } from "../front/stored-hits.ts";
import type { PurgeOrder } from "../store/purging.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import { Copies } from "./copies.ts";
import type { Asked, FromFront } from "./messages.ts";

/** What was not found of late; more is asked for so seldom that a copy is of no use. */
export const MISSES_MAX = 4_096;
/** Asked for and not answered yet: so many copies are on their way at most. */
export const WANTS_MAX = 64;
/** Names that sites are asked for under. */
export const NAMES_MAX = 4_096;

interface Named {
  readonly site: string;
  readonly hits: HitFinder;
}

export class CopiedHits implements HitFinder {
  readonly #send: (message: FromFront) => void;
  readonly #copies = new Copies();
  /** By the web origin that is asked for. */
  readonly #names = new BoundedMap<string, Named>({ entriesMax: NAMES_MAX });
  readonly #misses = new BoundedMap<string, number>({ entriesMax: MISSES_MAX });
  readonly #wanted = new Set<string>();

  constructor(send: (message: FromFront) => void) {
    this.#send = send;
  }

  get size(): number {
    return this.#copies.size;
  }

  find(request: LaneRequest, nowMs: number): Hit | undefined {
    const hit = this.#names.peek(request.webOrigin)?.hits.find(request, nowMs);
    if (hit === undefined) this.#missed(request);
    return hit;
  }

  /** What the main process answers to a wish. */
  take(asked: Asked, stored: StoredResponse | undefined): void {
    const name = nameOf(asked);
    this.#wanted.delete(name);
    if (stored === undefined) return;
    this.#misses.delete(name);
    const known = this.#names.peek(asked.webOrigin);
    if (known?.site !== stored.site) this.#names.set(asked.webOrigin, this.#named(stored));
    this.#copies.put(ownBody(stored));
  }

  drop(cacheKey: string): void {
    this.#copies.drop(cacheKey);
  }

  apply(order: PurgeOrder): void {
    this.#copies.apply(order);
  }

  /** Of a site, or all, with the names that it has. */
  forget(site: string | undefined): void {
    this.#copies.forget(site);
    for (const [webOrigin, named] of this.#names.entries())
      if (site === undefined || named.site === site) this.#names.delete(webOrigin);
  }

  takeUsed(): readonly string[] {
    return this.#copies.takeUsed();
  }

  /** Only what nothing stands before was copied: no signature, no rate. */
  #named({ site, webOrigin }: StoredResponse): Named {
    const always = () => true;
    const hits = new StoredHits({
      store: this.#copies,
      site,
      webOriginOf: () => webOrigin,
      isOpen: always,
      admit: always,
    });
    return { site, hits };
  }

  /** Of the second miss, and then ever more seldom: what cannot be copied is not asked for all the time. */
  #missed({ webOrigin, target, host, fields }: LaneRequest): void {
    const asked = { webOrigin, target };
    const name = nameOf(asked);
    const count = (this.#misses.get(name) ?? 0) + 1;
    this.#misses.set(name, count);
    const isTurn = count > 1 && (count & (count - 1)) === 0;
    if (!isTurn || this.#wanted.size >= WANTS_MAX || this.#wanted.has(name)) return;
    this.#wanted.add(name);
    this.#send({ kind: "want", asked, host, fields: new Map(fields) });
  }
}

function nameOf({ webOrigin, target }: Asked): string {
  return `${webOrigin}${target}`;
}

/** What came over the channel is a part of its buffer. */
function ownBody(stored: StoredResponse): StoredResponse {
  const { body } = stored;
  if (!(body instanceof Uint8Array)) return stored;
  const own = Buffer.allocUnsafeSlow(body.byteLength);
  own.set(body);
  return { ...stored, body: own };
}
