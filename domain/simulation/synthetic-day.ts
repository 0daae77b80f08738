/**
 * Makes a day of arrivals where none is recorded: from the places of the pools, large cities near them, and the hours at
 * which people are awake. Pure: the same fleet, policies and seed give the same day.
 *
 * It says what a fleet of this shape would see of a public of this shape. It knows nothing of the operator's own users.
 */
import { assert } from "../assert.ts";
import { type Coordinates, distanceKm } from "../geography.ts";
import { TIERS } from "../policy/placement-policy.ts";
import type { NamedPolicy } from "../policy/policy-match.ts";
import type { Arrivals, ClientGroup, Day, DayApp, DayPool } from "./day.ts";
import { POPULATION_CENTRES } from "./population-centres.ts";

/** Clients beyond it are some other fleet's: 25 ms by fibre. */
export const REACH_KM = 1500;
/** A pool with no city so near has clients of its own place. */
const OWN_PLACE_KM = 100;
const OWN_PLACE_MILLIONS = 0.2;
/** A visit to a scene; memoryless, so that who is there already may leave at any time. */
export const SESSION_SECONDS_MEAN = 1800;
const SESSION_SECONDS_MIN = 10;
/** Sessions at the busiest time, of the fleet's slots. */
export const BUSIEST_USE_RATIO = 0.7;
/** Where there would be too many arrivals, visits are longer and fewer; what is in use at a time stays the same. */
const STRETCH_MAX = 4;
/** Pools are as full when the day begins as they will be then. */
const FILL_SECONDS = 2 * STRETCH_MAX * SESSION_SECONDS_MEAN;
const DAY_SECONDS = 86_400;
const STEP_SECONDS = 900;
const HOUR_SECONDS = 3600;
/** Of the clients of a place; the others are what policies' matches name. */
const ANYBODY_RATIO = 0.5;
/** Kinds of clients that policies match, beside anybody. */
const VARIANTS_MAX = 15;

/** By local solar time: how many come in each hour, of the busiest. The usual shape of what people do at home. */
const HOURS = [
  0.55, 0.4, 0.29, 0.22, 0.18, 0.18, 0.22, 0.31, 0.42, 0.51, 0.57, 0.62, 0.67, 0.68, 0.68, 0.7, 0.74, 0.8, 0.88, 0.95,
  1, 0.98, 0.88, 0.72,
];

/** A port: uniform in [0, 1). */
export interface Draws {
  ratio(): number;
}

export interface SyntheticDayParts {
  readonly pools: readonly DayPool[];
  readonly apps: readonly DayApp[];
  /** Of before and after: their matches say which kinds of clients there are. */
  readonly policies: readonly NamedPolicy[];
  /** An arrival stands for several sessions where there would be more. */
  readonly arrivalsMax: number;
}

/** Pools have slots for at least one session of an app. */
export function makeSyntheticDay({ pools, apps, policies, arrivalsMax }: SyntheticDayParts, draws: Draws): Day {
  const places = placesOf(pools);
  const variants = variantsOf(policies);
  const groups = places.flatMap((place) => groupsOf(place, variants));
  const rates = ratesOf(groups);
  const busiest = busiestStep(rates.byStep);
  const slots = usableSlots(pools, apps);
  assert(slots > 0 && groups.length > 0, "a day has somebody to come and a slot to take");
  const perSecond = (BUSIEST_USE_RATIO * slots) / SESSION_SECONDS_MEAN;
  const steps = rates.byStep.map((rate) => (perSecond * STEP_SECONDS * rate) / (rates.byStep[busiest] ?? 1));
  const crowd = steps.reduce((sum, count) => sum + count, 0) / arrivalsMax;
  const stretch = Math.min(STRETCH_MAX, Math.max(1, crowd));
  const slotsPerArrival = Math.max(1, Math.ceil(crowd / stretch));
  const sessionsPerArrival = stretch * slotsPerArrival;
  const scaled = steps.map((count) => count / sessionsPerArrival);
  const secondsMean = stretch * SESSION_SECONDS_MEAN;
  return {
    source: describe(places.length, sessionsPerArrival),
    groups: groups.map(({ group }) => group),
    apps,
    arrivals: drawArrivals(scaled, { rates, apps: apps.length, secondsMean, draws }),
    ...{ sessionsPerArrival, slotsPerArrival },
    busiestSeconds: stepStart(busiest) + STEP_SECONDS,
  };
}

function describe(places: number, sessionsPerArrival: number): string {
  const parts = [
    `a synthetic day: ${places} places within ${REACH_KM} km of a pool, weighted by the root of their population and the hour there`,
    `${100 * BUSIEST_USE_RATIO} % of the fleet's slots in use at the busiest time, visits of ${SESSION_SECONDS_MEAN / 60} minutes on average`,
    "tiers and apps in equal parts, round trips by distance",
    ...(sessionsPerArrival > 1 ? [`each arrival stands for ${sessionsPerArrival.toFixed(1)} sessions`] : []),
  ];
  return parts.join("; ");
}

interface Place {
  readonly name: string;
  readonly coordinates: Coordinates;
  readonly region: string;
  readonly country?: string;
  readonly millions: number;
}

/** Cities that a pool reaches, and pools that no city is near. */
function placesOf(pools: readonly DayPool[]): Place[] {
  const cities = POPULATION_CENTRES.flatMap((centre): Place[] => {
    const nearest = nearestPool(centre.coordinates, pools);
    const isReached = nearest !== undefined && distanceKm(centre.coordinates, nearest.coordinates) <= REACH_KM;
    return isReached ? [{ ...centre, region: nearest.region }] : [];
  });
  const alone = pools.filter(
    ({ coordinates }) => !cities.some((city) => distanceKm(coordinates, city.coordinates) <= OWN_PLACE_KM),
  );
  return [
    ...cities,
    ...alone.map(({ name, coordinates, region }) => ({
      ...{ name: `around ${name}`, coordinates, region, millions: OWN_PLACE_MILLIONS },
    })),
  ];
}

export function nearestPool(of: Coordinates, pools: readonly DayPool[]): DayPool | undefined {
  let nearest: DayPool | undefined;
  let leastKm = Number.POSITIVE_INFINITY;
  for (const pool of pools) {
    const km = distanceKm(of, pool.coordinates);
    if (km < leastKm) [nearest, leastKm] = [pool, km];
  }
  return nearest;
}

type Variant = Pick<ClientGroup, "tenant" | "asn" | "address">;

/** One kind of client for each match that names a tenant, a network or an autonomous system, with all that it names. */
function variantsOf(policies: readonly NamedPolicy[]): readonly Variant[] {
  const variants = policies.flatMap(({ spec: { match } }): Variant[] => {
    const [tenant, asn, cidr] = [match?.tenants?.[0], match?.asns?.[0], match?.cidrs?.[0]];
    if (tenant === undefined && asn === undefined && cidr === undefined) return [];
    return [{ tenant, asn, address: cidr?.split("/", 1)[0] }];
  });
  const distinct = new Map(variants.map((variant) => [nameOf(variant), variant]));
  return [...distinct.values()].slice(0, VARIANTS_MAX);
}

function nameOf({ tenant, asn, address }: Variant): string {
  const said = [
    tenant === undefined ? "" : `tenant ${tenant}`,
    asn === undefined ? "" : `AS ${asn}`,
    address === undefined ? "" : `from ${address}`,
  ];
  return said.filter((part) => part !== "").join(", ");
}

interface WeightedGroup {
  readonly group: ClientGroup;
  readonly weight: number;
}

function groupsOf({ name, millions, ...place }: Place, variants: readonly Variant[]): WeightedGroup[] {
  const weight = Math.sqrt(millions);
  if (variants.length === 0) return [{ group: { name, ...place }, weight }];
  return [
    { group: { name, ...place }, weight: ANYBODY_RATIO * weight },
    ...variants.map((variant) => ({
      group: { name: `${name} (${nameOf(variant)})`, ...place, ...variant },
      weight: ((1 - ANYBODY_RATIO) * weight) / variants.length,
    })),
  ];
}

interface Rates {
  /** Of all groups, in each step from the beginning of the filling. */
  readonly byStep: readonly number[];
  /** By hour of the day in UTC: groups' rates, summed up to each. */
  readonly cumulated: readonly Float64Array[];
}

function ratesOf(groups: readonly WeightedGroup[]): Rates {
  const cumulated = HOURS.map((_, hour) => {
    let sum = 0;
    return Float64Array.from(groups, ({ group, weight }) => {
      const local = hour + group.coordinates.longitude / 15;
      sum += weight * activityAt(local);
      return sum;
    });
  });
  const steps = (FILL_SECONDS + DAY_SECONDS) / STEP_SECONDS;
  return { cumulated, byStep: Array.from({ length: steps }, (_, step) => cumulated[hourOf(step)]?.at(-1) ?? 0) };
}

/** Between two hours in proportion. */
function activityAt(localHour: number): number {
  const hour = ((localHour % 24) + 24) % 24;
  const [from, to] = [HOURS[Math.floor(hour)] ?? 0, HOURS[(Math.floor(hour) + 1) % 24] ?? 0];
  return from + (to - from) * (hour - Math.floor(hour));
}

function stepStart(step: number): number {
  return step * STEP_SECONDS - FILL_SECONDS;
}

function hourOf(step: number): number {
  return Math.floor((stepStart(step) + DAY_SECONDS) / HOUR_SECONDS) % 24;
}

/** Of the day itself. */
function busiestStep(byStep: readonly number[]): number {
  const first = FILL_SECONDS / STEP_SECONDS;
  return byStep.reduce((best, rate, step) => (step > first && rate > (byStep[best] ?? 0) ? step : best), first);
}

/** A pool's for each app's first class that it holds, on average over the apps. */
function usableSlots(pools: readonly DayPool[], apps: readonly DayApp[]): number {
  const slots = apps.map(({ spec }) =>
    pools.reduce((sum, { classes }) => {
      const held = spec.classes.map(({ name }) => classes.find(({ renderClass }) => renderClass === name)?.slots ?? 0);
      return sum + (held.find((count) => count > 0) ?? 0);
    }, 0),
  );
  return slots.reduce((sum, count) => sum + count, 0) / Math.max(1, apps.length);
}

/** As many in each step as are expected, their fractions carried on; who and when is drawn. */
function drawArrivals(
  steps: readonly number[],
  of: { readonly rates: Rates; readonly apps: number; readonly secondsMean: number; readonly draws: Draws },
): Arrivals {
  const { rates, apps, secondsMean, draws } = of;
  const ends: number[] = [];
  let expected = 0;
  for (const count of steps) {
    expected += count;
    ends.push(Math.round(expected));
  }
  const count = ends.at(-1) ?? 0;
  const arrivals = {
    count,
    atSeconds: new Float64Array(count),
    durationSeconds: new Float32Array(count),
    group: new Uint32Array(count),
    app: new Uint16Array(count),
    tier: new Uint8Array(count),
  };
  let first = 0;
  for (const [step, end] of ends.entries()) {
    const times = arrivals.atSeconds.subarray(first, end);
    for (let at = 0; at < times.length; at += 1) times[at] = stepStart(step) + STEP_SECONDS * draws.ratio();
    times.sort();
    const cumulated = rates.cumulated[hourOf(step)] ?? new Float64Array();
    for (let index = first; index < end; index += 1) {
      arrivals.group[index] = drawGroup(cumulated, draws.ratio());
      arrivals.app[index] = Math.floor(draws.ratio() * apps);
      arrivals.tier[index] = Math.floor(draws.ratio() * TIERS.length);
      const stay = -Math.log(1 - draws.ratio()) * secondsMean;
      arrivals.durationSeconds[index] = Math.max(SESSION_SECONDS_MIN, stay);
    }
    first = end;
  }
  return arrivals;
}

/** Binary search: the first whose sum is above. */
function drawGroup(cumulated: Float64Array, ratio: number): number {
  const wanted = ratio * (cumulated.at(-1) ?? 0);
  let low = 0;
  let high = cumulated.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((cumulated[middle] ?? 0) > wanted) high = middle;
    else low = middle + 1;
  }
  return low;
}
