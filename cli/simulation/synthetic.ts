/** The synthetic day of a fleet, and where on it GPUs without a place bring most. */
import { Failure } from "#domain/failure.ts";
import { planCapacity } from "#domain/simulation/capacity-plan.ts";
import type { Day, DayApp, DayPool } from "#domain/simulation/day.ts";
import { type WantedGpus, withGpus, withoutPools } from "#domain/simulation/fleet-change.ts";
import { type FleetPools, SLOTS_LABEL } from "#domain/simulation/fleet-pools.ts";
import { makeSyntheticDay } from "#domain/simulation/synthetic-day.ts";
import { compileWorld } from "#platform/cel/worlds.ts";
import { seededRandom } from "#platform/random.ts";

/** Each place that is tried for more GPUs is a day of its own. */
export const PLANNED_ARRIVALS_MAX = 100_000;

type DayParts = Omit<Parameters<typeof makeSyntheticDay>[0], "pools">;

export function makeDay(
  base: FleetPools,
  parts: Omit<Parameters<typeof makeSyntheticDay>[0], "pools">,
  seed: number,
): Day {
  checkPlaceable(base, parts.apps);
  return makeSyntheticDay({ pools: base.pools, ...parts }, seededRandom(seed));
}

/** Throws `argument-invalid` where nobody could be placed. */
export function checkPlaceable({ pools }: FleetPools, apps: readonly DayApp[]): void {
  if (apps.length === 0) {
    throw new Failure("argument-invalid", "the fleet has no RenderApp: without one there are no sessions to place");
  }
  const names = new Set(apps.flatMap(({ spec }) => spec.classes.map(({ name }) => name)));
  const isHeld = pools.some(({ classes }) =>
    classes.some(({ renderClass, slots }) => names.has(renderClass) && slots > 0),
  );
  if (!isHeld) {
    const message = `no pool has a slot of a class of the apps: agents have reported none, and no pool has the label ${SLOTS_LABEL}`;
    throw new Failure("argument-invalid", message);
  }
}

interface PlanningParts extends Omit<DayParts, "arrivalsMax"> {
  readonly base: FleetPools;
  readonly load: number;
  readonly seed: number;
}

interface PoolChange {
  readonly add: readonly WantedGpus[];
  readonly kill: readonly string[];
  readonly slotsPerGpu: number | undefined;
}

interface Added {
  readonly pools: readonly DayPool[];
  readonly notes: readonly string[];
}

/** One after the other: where the second brings most depends on where the first went. Throws as `withGpus`. */
export function withAdded(
  pools: readonly DayPool[],
  { add, kill, slotsPerGpu }: PoolChange,
  parts: PlanningParts,
): Added {
  let day: Day | undefined;
  return add.reduce<Added>(
    ({ pools: before, notes }, gpus) => {
      const { place, count, model } = gpus;
      if (place !== undefined) return { pools: withGpus(before, { ...gpus, place }, slotsPerGpu), notes };
      day ??= makeDay(parts.base, { ...parts, arrivalsMax: PLANNED_ARRIVALS_MAX }, parts.seed);
      const world = compileWorld(withoutPools(before, kill), parts.policies, parts.load);
      const plan = planCapacity(day, world, { gpus: count, model, ownKind: false, slotsPerGpu });
      const [best] = plan.gains;
      if (best === undefined) {
        throw new Failure("argument-invalid", `--add ${count}x${model}: there is no pool to put it at: say @PLACE`);
      }
      const found = `${count} ${model} went to ${best.place}, of ${plan.placesLookedAt} places the one where they bring most: ${best.hoursGained.toFixed(1)} hours within the limit on a synthetic day`;
      return { pools: withGpus(before, { ...gpus, place: best.place }, slotsPerGpu), notes: [...notes, found] };
    },
    { pools, notes: [] },
  );
}
