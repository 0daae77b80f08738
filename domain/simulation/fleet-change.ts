/** What-ifs over the pools of a fleet: some are gone, some have more GPUs, some are new. Pure. */
import { Failure } from "../failure.ts";
import type { Coordinates } from "../geography.ts";
import { suggestionOf } from "../nearest-names.ts";
import type { DayPool, PoolClass } from "./day.ts";
import { GPUS_LABEL, SLOTS_LABEL } from "./fleet-pools.ts";
import { POPULATION_CENTRES } from "./population-centres.ts";
import { nearestPool } from "./synthetic-day.ts";

/** By this label operators say which GPUs a pool has. */
const GPU_LABEL = "gpu";
const ADDED_GPUS_MAX = 100_000;

export interface AddedGpus {
  readonly count: number;
  readonly model: string;
  /** A pool, a city that is known, or `LATITUDE,LONGITUDE`. */
  readonly place: string;
}

/** Without a place they go where they bring most. */
export type WantedGpus = Omit<AddedGpus, "place"> & { readonly place: string | undefined };

/** `40xL40S` or `40xL40S@frankfurt-a`. Throws `argument-invalid`. */
export function parseAddedGpus(text: string): WantedGpus {
  const [, count = "", model = "", place] = /^(\d{1,9})x([A-Za-z0-9._-]{1,63})(?:@(.{1,100}))?$/.exec(text) ?? [];
  const isCounted = Number(count) >= 1 && Number(count) <= ADDED_GPUS_MAX;
  if (isCounted) return { count: Number(count), model, place };
  const message = `--add must be COUNTxMODEL or COUNTxMODEL@PLACE as 40xL40S@berlin, of 1 to ${ADDED_GPUS_MAX} GPUs, got ${JSON.stringify(text)}: the place is a pool, a large city or LATITUDE,LONGITUDE; without one they go where plan-capacity would put them`;
  throw new Failure("argument-invalid", message);
}

/** Without them. Throws `not-found` with the nearest names. */
export function withoutPools(pools: readonly DayPool[], names: readonly string[]): readonly DayPool[] {
  for (const name of names) {
    if (pools.some((pool) => pool.name === name)) continue;
    throw new Failure(
      "not-found",
      `there is no pool ${name}${suggestionOf(
        name,
        pools.map((pool) => pool.name),
      )}`,
    );
  }
  return pools.filter(({ name }) => !names.includes(name));
}

/** With `slotsPerGpu` given it is of every class; else as pools with such GPUs have. Throws `argument-invalid` or `not-found`. */
export function withGpus(
  pools: readonly DayPool[],
  added: AddedGpus,
  slotsPerGpu: number | undefined,
): readonly DayPool[] {
  const classes = gpuClasses(pools, added, slotsPerGpu).map((each) => ({
    ...each,
    slots: Math.floor(each.slots * added.count),
  }));
  const target = pools.find(({ name }) => name === added.place);
  if (target === undefined) return [...pools, newPool(pools, added, classes)];
  const grown = {
    ...target,
    classes: mergeClasses(target.classes, classes),
    ...(target.gpus === undefined ? {} : { gpus: target.gpus + added.count }),
  };
  return pools.map((pool) => (pool === target ? grown : pool));
}

function mergeClasses(held: readonly PoolClass[], added: readonly PoolClass[]): PoolClass[] {
  const names = [...new Set([...held, ...added].map(({ renderClass }) => renderClass))];
  return names.map((renderClass) => {
    const of = [...held, ...added].filter((each) => each.renderClass === renderClass);
    // What is there was measured there.
    const renderEncodeMsP95 = of[0]?.renderEncodeMsP95 ?? 0;
    return { renderClass, renderEncodeMsP95, slots: of.reduce((sum, { slots }) => sum + slots, 0) };
  });
}

/** Of one GPU, in parts of a slot. */
function gpuClasses(pools: readonly DayPool[], { model }: AddedGpus, slotsPerGpu: number | undefined): PoolClass[] {
  const alike = pools.filter(
    ({ labels, gpus }) => labels[GPU_LABEL]?.toLowerCase() === model.toLowerCase() && gpus !== undefined && gpus > 0,
  );
  const models = alike.length > 0 ? alike : slotsPerGpu === undefined ? [] : pools;
  if (models.length === 0) {
    const known = [...new Set(pools.flatMap(({ labels }) => labels[GPU_LABEL] ?? []))];
    const message = `how many sessions a ${model} holds is not known: no pool with the label ${GPU_LABEL}=${model.toLowerCase()} has agents that report, or the label ${GPUS_LABEL}${known.length === 0 ? "" : `; GPUs here are ${known.join(", ")}`}. Give --slots-per-gpu`;
    throw new Failure("argument-invalid", message);
  }
  const gpus = models.reduce((sum, pool) => sum + (pool.gpus ?? 0), 0);
  const merged = models.reduce<readonly PoolClass[]>((sum, { classes }) => mergeClasses(sum, classes), []);
  return merged.map((each) => ({ ...each, slots: slotsPerGpu ?? each.slots / gpus }));
}

/** Labels as the nearest pool's: what policies ask of it they ask of its neighbour. */
function newPool(
  pools: readonly DayPool[],
  { count, model, place }: AddedGpus,
  classes: readonly PoolClass[],
): DayPool {
  const { name, coordinates } = placeOf(place, pools);
  const nearest = nearestPool(coordinates, pools);
  const { [SLOTS_LABEL]: _slots, [GPUS_LABEL]: _gpus, ...labels } = nearest?.labels ?? {};
  return {
    ...{ name: `new-${name}`, coordinates, classes, gpus: count },
    region: nearest?.region ?? name,
    labels: { ...labels, [GPU_LABEL]: model.toLowerCase() },
    ...{ reachable: true, cordoned: false, draining: false },
    ...(nearest?.slotHourCost === undefined ? {} : { slotHourCost: nearest.slotHourCost }),
  };
}

function placeOf(place: string, pools: readonly DayPool[]): { name: string; coordinates: Coordinates } {
  const city = POPULATION_CENTRES.find(({ name }) => nameOf(name) === nameOf(place));
  if (city !== undefined) return { name: nameOf(city.name), coordinates: city.coordinates };
  const [, latitude, longitude] = /^(-?\d{1,2}(?:\.\d+)?),(-?\d{1,3}(?:\.\d+)?)$/.exec(place) ?? [];
  const coordinates = { latitude: Number(latitude), longitude: Number(longitude) };
  if (Math.abs(coordinates.latitude) <= 90 && Math.abs(coordinates.longitude) <= 180) {
    return { name: "place", coordinates };
  }
  const names = [...pools.map(({ name }) => name), ...POPULATION_CENTRES.map(({ name }) => nameOf(name))];
  throw new Failure("not-found", `there is no pool and no large city ${place}${suggestionOf(nameOf(place), names)}`);
}

function nameOf(place: string): string {
  return place.toLowerCase().replaceAll(" ", "-");
}
