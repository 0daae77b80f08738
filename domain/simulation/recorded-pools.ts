/** Pools as logs of decisions had them last: for a what-if over a fleet that nobody else tells of. Pure. */
import type { DayPool, PoolClass } from "./day.ts";
import { COST_LABEL, GPUS_LABEL, numberOfLabel, type StatedPool } from "./fleet-pools.ts";

export type RecordedStatement = Pick<DayPool, "labels" | "region" | "coordinates">;

/** Of one pool, as a decision saw it. */
export interface RecordedStanding extends PoolClass {
  readonly pool: string;
  readonly atMs: number;
  readonly cordoned: boolean;
  readonly draining: boolean;
}

export class RecordedPools {
  readonly #stated = new Map<string, RecordedStatement & { readonly atMs: number }>();
  /** By pool, then class. */
  readonly #standings = new Map<string, Map<string, RecordedStanding>>();

  stated(pool: string, atMs: number, statement: RecordedStatement): void {
    const known = this.#stated.get(pool);
    if (known === undefined || known.atMs <= atMs) this.#stated.set(pool, { ...statement, atMs });
  }

  seen(standing: RecordedStanding): void {
    const { pool, renderClass, atMs } = standing;
    const classes = this.#standings.get(pool) ?? new Map<string, RecordedStanding>();
    this.#standings.set(pool, classes);
    const known = classes.get(renderClass);
    if (known === undefined || known.atMs <= atMs) classes.set(renderClass, standing);
  }

  get names(): readonly string[] {
    return [...new Set([...this.#stated.keys(), ...this.#standings.keys()])].sort();
  }

  find(pool: string): RecordedStatement | undefined {
    return this.#stated.get(pool);
  }

  /** Those of which it is known where they are; with what operators now say of them in place of what they said then. */
  list(written: readonly StatedPool[] = []): readonly DayPool[] {
    const now = new Map(written.map(({ metadata: { name, labels }, spec }) => [name, { labels, ...spec }]));
    return this.names.flatMap((name): DayPool[] => {
      const stated = this.#stated.get(name);
      if (stated === undefined) return [];
      const { labels, region, coordinates } = now.get(name) ?? stated;
      const standings = [...(this.#standings.get(name)?.values() ?? [])].sort((a, b) => a.atMs - b.atMs);
      const last = standings.at(-1);
      const [slotHourCost, gpus] = [COST_LABEL, GPUS_LABEL].map((label) => numberOfLabel(labels, label));
      return [
        {
          ...{ name, labels, region, coordinates, reachable: true },
          ...{ cordoned: last?.cordoned ?? false, draining: last?.draining ?? false },
          classes: standings.map(({ renderClass, slots, renderEncodeMsP95 }) => ({
            renderClass,
            slots,
            renderEncodeMsP95,
          })),
          ...{ slotHourCost, gpus },
        },
      ];
    });
  }
}
