/** Takes what is assigned towards the plan: copies begin in their windows of time, as many as pools' links carry. */
import { FILL_BYTES_PER_SECOND_DEFAULT, FillWindow, nextHolders } from "#domain/content/fill-window.ts";
import { type ContentRules, mayPrefetch } from "#domain/policy/content-rules.ts";
import type { Clock } from "#platform/clock.ts";
import type { DesiredView } from "../facts/desired-view.ts";
import type { FleetPool } from "../facts/fleet.ts";
import { wholeSites } from "./pool-contents.ts";

/** By site; a site that is not named is held wherever its policies permit. */
export type SiteHolders = ReadonlyMap<string, ReadonlySet<string>>;

export interface FillPorts {
  readonly clock: Clock;
  readonly fleet: {
    readonly view: DesiredView;
    findPool(pool: string): FleetPool | undefined;
  };
}

export interface SteppedSite {
  readonly site: string;
  readonly sizeBytes: number;
  readonly permitted: readonly string[];
  readonly rules: Pick<ContentRules, "isNever" | "windows">;
  readonly held: ReadonlySet<string>;
}

/** What the last step did, and what it left. */
export interface FillStanding {
  readonly begun: number;
  readonly begunBytes: number;
  /** Copies that are planned and not begun, by what they wait for. */
  readonly waiting: { readonly window: number; readonly budget: number };
  /** Bytes by pool, at its budget. */
  readonly underWay: ReadonlyMap<string, number>;
}

interface Tally {
  begun: number;
  begunBytes: number;
  waiting: { window: number; budget: number };
}

export class PlannedFills {
  readonly #ports: FillPorts;
  readonly #fills = new FillWindow();
  #standing: FillStanding = { ...emptyTally(), underWay: new Map() };

  constructor(ports: FillPorts) {
    this.#ports = ports;
  }

  get standing(): FillStanding {
    return this.#standing;
  }

  /** The next holders of each. A site that the plan does not name yet stays where it is. */
  step(sites: readonly SteppedSite[], planned: SiteHolders | undefined): SiteHolders {
    const { clock, fleet } = this.#ports;
    this.#fills.retain(fleet.view.pools);
    const nowMs = clock.monotonicMs();
    const tally = emptyTally();
    const admit = this.#admission(tally, nowMs);
    const whole = new Map<string, ReadonlySet<string>>();
    const wholeIn = (pool: string) => {
      const known = whole.get(pool) ?? wholeSites(fleet.findPool(pool));
      whole.set(pool, known);
      return known;
    };
    const next = sites.map((stepped) => {
      const { site, permitted, held } = stepped;
      const may = new Set(permitted);
      const wanted = new Set([...(planned?.get(site) ?? held)].filter((pool) => may.has(pool)));
      const isForbidden = (pool: string) => !may.has(pool);
      const isServed = (pool: string) => wholeIn(pool).has(site);
      return [site, nextHolders({ held, wanted, isForbidden, isServed }, admit(stepped))] as const;
    });
    this.#standing = { ...tally, underWay: this.#fills.listUnderWay(nowMs) };
    return new Map(next);
  }

  /** Where one waits for a pool's link, those after it do too: a large one has its turn. */
  #admission(tally: Tally, nowMs: number) {
    const { clock, fleet } = this.#ports;
    const wallMs = clock.nowMs();
    const busy = new Set<string>();
    return ({ sizeBytes, rules }: SteppedSite) => {
      const isOpen = mayPrefetch(rules, wallMs);
      return (pool: string): boolean => {
        if (!isOpen) {
          tally.waiting.window += 1;
          return false;
        }
        const given = fleet.view.pools.get(pool)?.spec.fillBytesPerSecond;
        const fill = { pool, sizeBytes, bytesPerSecond: given ?? FILL_BYTES_PER_SECOND_DEFAULT };
        if (busy.has(pool) || !this.#fills.admit(fill, nowMs)) {
          busy.add(pool);
          tally.waiting.budget += 1;
          return false;
        }
        tally.begun += 1;
        tally.begunBytes += sizeBytes;
        return true;
      };
    };
  }
}

function emptyTally(): Tally {
  return { begun: 0, begunBytes: 0, waiting: { window: 0, budget: 0 } };
}
