/**
 * Makes a day of arrivals of what logs of decisions tell of sessions: each as it came, with the round trips that it
 * measured and for as long as it stayed. Pure: the same sessions, fleet and seed give the same day.
 */
import { assert } from "../assert.ts";
import { type Coordinates, distanceKm } from "../geography.ts";
import { DistanceModel, RTT_MS_UNKNOWN } from "../latency/distance-model.ts";
import { TIERS } from "../policy/placement-policy.ts";
import {
  type Arrivals,
  type ClientGroup,
  type Day,
  type DayApp,
  type DayPool,
  hashOfText,
  ratioOfHash,
} from "./day.ts";
import type { RecordedFacts, RecordedSession, RecordedSessions } from "./recorded-sessions.ts";
import { nearestPool, SESSION_SECONDS_MEAN } from "./synthetic-day.ts";

/** A client renews every 20 s: who is heard of for longer than this after the log begins, or before it ends, came or left. */
const SILENT_MS_MAX = 60_000;
/** Who is not heard of again left, on average, halfway to its next renewal. */
const UNHEARD_MS = 10_000;
/** The busiest moment is when somebody comes: what is asked of is just after. */
const JUST_AFTER_SECONDS = 0.000_5;
const BEFORE_SECONDS = -1;

export interface RecordedDayParts {
  readonly sessions: RecordedSessions;
  readonly pools: readonly DayPool[];
  readonly apps: readonly DayApp[];
  readonly seed: number;
}

/** How much of the day is recorded, in arrivals, and how much is made up. */
export interface RecordedCounts {
  /** They ran already when the log began, and are not counted. */
  readonly ranBefore: number;
  /** By app that there is none of: sessions that are left out. */
  readonly ofOtherApps: ReadonlyMap<string, number>;
  readonly stays: Readonly<Record<StaySource, number>>;
  /** Pairs of a session and a pool of the fleet: measured by it or its group, or not. */
  readonly rttsKnown: number;
  readonly rttsEstimated: number;
  /** By pool that the fleet has not: sessions that began there. */
  readonly inPoolsGone: ReadonlyMap<string, number>;
  readonly placeUnknown: number;
}

export type StaySource = "ended" | "renewals" | "others";

export interface RecordedDay {
  readonly day: Day;
  readonly counts: RecordedCounts;
  /** By group of the day, each of which is one session's: where the log has it first; undefined where it got no slot. */
  readonly begunIn: readonly (string | undefined)[];
}

/** Undefined where nobody came for an app of the fleet. */
export function makeRecordedDay(parts: RecordedDayParts): RecordedDay | undefined {
  const { sessions, pools, apps, seed } = parts;
  const appOf = new Map(apps.map(({ name }, at) => [name, at]));
  const recorded = sessions.list();
  const ours = recorded.filter(({ facts }) => appOf.has(facts.app));
  const groups = groupsOf(ours, pools);
  const stays = staysOf(ours, sessions.span, seed);
  const drafts = ours.map((session, at): Draft => {
    const { fromMs } = sessions.span;
    const ranBefore = !session.isNew && session.begunMs - fromMs <= SILENT_MS_MAX;
    const atSeconds = ranBefore ? BEFORE_SECONDS : (session.begunMs - fromMs) / 1000;
    const lateSeconds = ranBefore ? (session.begunMs - fromMs) / 1000 - BEFORE_SECONDS : 0;
    const app = appOf.get(session.facts.app) ?? 0;
    const tier = TIERS.indexOf(session.facts.tier);
    return { atSeconds, seconds: lateSeconds + (stays[at]?.seconds ?? 0), group: at, app, tier };
  });
  if (drafts.every(({ atSeconds }) => atSeconds < 0)) return undefined;
  const arrivals = columnsOf(drafts);
  const day: Day = {
    source: describe(sessions, ours.length),
    ...{ groups, apps, arrivals, busiestSeconds: busiestOf(arrivals) },
    ...{ sessionsPerArrival: sessions.keptOneOf, slotsPerArrival: sessions.keptOneOf },
  };
  const begunIn = ours.map(({ placed }) => placed?.pool);
  return { day, begunIn, counts: countsOf(recorded, { appOf, stays, pools, drafts }) };
}

function describe({ span, keptOneOf }: RecordedSessions, sessions: number): string {
  const [from, to] = [span.fromMs, span.toMs].map((ms) => new Date(ms).toISOString());
  const whole = `a recorded day: ${keptOneOf * sessions} sessions from ${from} to ${to}, as schedulers logged them`;
  return keptOneOf === 1 ? whole : `${whole}; one of ${keptOneOf} was taken and stands for as many`;
}

interface Draft {
  readonly atSeconds: number;
  readonly seconds: number;
  readonly group: number;
  readonly app: number;
  readonly tier: number;
}

function columnsOf(drafts: readonly Draft[]): Arrivals {
  const ordered = drafts.toSorted((a, b) => a.atSeconds - b.atSeconds || a.group - b.group);
  return {
    count: ordered.length,
    atSeconds: Float64Array.from(ordered, ({ atSeconds }) => atSeconds),
    durationSeconds: Float32Array.from(ordered, ({ seconds }) => seconds),
    group: Uint32Array.from(ordered, ({ group }) => group),
    app: Uint16Array.from(ordered, ({ app }) => app),
    tier: Uint8Array.from(ordered, ({ tier }) => tier),
  };
}

/** Just after the arrival with most there. */
function busiestOf({ atSeconds, durationSeconds, count }: Arrivals): number {
  const ends = Float64Array.from(atSeconds, (at, index) => at + (durationSeconds[index] ?? 0)).sort();
  let [gone, most, busiest] = [0, 0, 0];
  for (let come = 0; come < count; come += 1) {
    const at = atSeconds[come] ?? 0;
    while ((ends[gone] ?? Number.POSITIVE_INFINITY) <= at) gone += 1;
    if (at < 0 || come + 1 - gone <= most) continue;
    [most, busiest] = [come + 1 - gone, at];
  }
  return busiest + JUST_AFTER_SECONDS;
}

interface Stay {
  readonly seconds: number;
  readonly source: StaySource;
  /** The log ends before it does. */
  readonly isCut: boolean;
}

/** Those of which neither an end nor a renewal is known stay as long as one of the others, by lot. */
function staysOf(sessions: readonly RecordedSession[], span: { readonly toMs: number }, seed: number): readonly Stay[] {
  const known = sessions.map((session) => stayOf(session, span.toMs));
  const whole = known.flatMap((stay) => (stay === undefined || stay.isCut ? [] : stay.seconds));
  const ordered = Float64Array.from(whole).sort();
  return sessions.map(({ session }, at): Stay => {
    const drawn = Math.floor(ratioOfHash(hashOfText(session, seed + 1)) * ordered.length);
    return known[at] ?? { seconds: ordered[drawn] ?? SESSION_SECONDS_MEAN, source: "others", isCut: false };
  });
}

function stayOf({ placed, heardMs, endedMs }: RecordedSession, toMs: number): Stay | undefined {
  if (placed === undefined) return undefined;
  if (endedMs !== undefined && endedMs >= placed.atMs) {
    return { seconds: (endedMs - placed.atMs) / 1000, source: "ended", isCut: false };
  }
  if (heardMs <= placed.atMs) return undefined;
  const isCut = toMs - heardMs <= SILENT_MS_MAX;
  const untilMs = isCut ? toMs + 1 : heardMs + UNHEARD_MS;
  return { seconds: (untilMs - placed.atMs) / 1000, source: "renewals", isCut };
}

/** Each session is one: it has round trips of its own. */
function groupsOf(sessions: readonly RecordedSession[], pools: readonly DayPool[]): readonly ClientGroup[] {
  const byName = new Map(pools.map((pool) => [pool.name, pool]));
  const model = distancesOf(sessions, byName);
  const nearest = new Map<string, DayPool | undefined>();
  const nearestTo = (place: Coordinates): DayPool | undefined => {
    const key = `${place.latitude},${place.longitude}`;
    if (!nearest.has(key)) nearest.set(key, nearestPool(place, pools));
    return nearest.get(key);
  };
  return sessions.map(({ facts }): ClientGroup => {
    const { group, client, device, coordinates, rtts } = facts;
    const { tenant, country, asn, address } = client;
    const lowest = lowestOf(facts, byName);
    const near = coordinates === undefined ? lowest : nearestTo(coordinates);
    const byDistance = (pool: Coordinates) =>
      coordinates === undefined ? RTT_MS_UNKNOWN : model.estimate(country, distanceKm(coordinates, pool)).rttMs;
    const slowerMs = lowest === undefined ? 0 : slownessOf(lowest.rttMs, byDistance(lowest.coordinates));
    const estimateMs = (pool: Coordinates) => byDistance(pool) + slowerMs;
    return {
      name: tenant === undefined ? group : `${group} (tenant ${tenant})`,
      ...{ tenant, country, asn, address, device, estimateMs, region: near?.region ?? "unknown" },
      coordinates: coordinates ?? near?.coordinates ?? { latitude: 0, longitude: 0 },
      isOneSession: true,
      rttMs: new Map([...rtts].map(([pool, { rttMs }]) => [pool, rttMs])),
    };
  });
}

/** As schedulers fit it, to what the sessions have measured. */
function distancesOf(sessions: readonly RecordedSession[], pools: ReadonlyMap<string, DayPool>): DistanceModel {
  const model = new DistanceModel();
  for (const { facts } of sessions) {
    for (const [pool, { rttMs, source }] of facts.rtts) {
      const place = pools.get(pool)?.coordinates;
      if (source !== "measured" || place === undefined || facts.coordinates === undefined) continue;
      model.learn(facts.client.country, { km: distanceKm(facts.coordinates, place), rttMs, weight: 1 });
    }
  }
  return model;
}

/** By how much a client's way out is slower than others': it is so to every pool. */
function slownessOf(measuredMs: number, estimatedMs: number): number {
  return Math.max(0, measuredMs - estimatedMs);
}

/** Of the pools that it or its group has measured. */
function lowestOf({ rtts }: RecordedFacts, pools: ReadonlyMap<string, DayPool>) {
  let lowest: (Pick<DayPool, "region" | "coordinates"> & { readonly rttMs: number }) | undefined;
  for (const [name, { rttMs, source }] of rtts) {
    const pool = pools.get(name);
    if (pool === undefined || source === "geography" || rttMs >= (lowest?.rttMs ?? Number.POSITIVE_INFINITY)) continue;
    lowest = { region: pool.region, coordinates: pool.coordinates, rttMs };
  }
  return lowest;
}

function countsOf(
  recorded: readonly RecordedSession[],
  of: {
    readonly appOf: ReadonlyMap<string, number>;
    readonly stays: readonly Stay[];
    readonly pools: readonly DayPool[];
    readonly drafts: readonly Draft[];
  },
): RecordedCounts {
  const { appOf, stays, pools, drafts } = of;
  const names = new Set(pools.map(({ name }) => name));
  const ofOtherApps = new Map<string, number>();
  const inPoolsGone = new Map<string, number>();
  let [rttsKnown, placeUnknown, ours] = [0, 0, 0];
  for (const { facts, placed } of recorded) {
    if (!appOf.has(facts.app)) {
      add(ofOtherApps, facts.app);
      continue;
    }
    ours += 1;
    for (const [pool, { source }] of facts.rtts) if (names.has(pool) && source !== "geography") rttsKnown += 1;
    if (facts.coordinates === undefined) placeUnknown += 1;
    if (placed !== undefined && !names.has(placed.pool)) add(inPoolsGone, placed.pool);
  }
  assert(ours === drafts.length, "each session of an app of the fleet comes once");
  const countOf = (source: StaySource) => stays.filter((stay) => stay.source === source).length;
  return {
    ranBefore: drafts.filter(({ atSeconds }) => atSeconds < 0).length,
    ...{ ofOtherApps, inPoolsGone, placeUnknown, rttsKnown, rttsEstimated: ours * pools.length - rttsKnown },
    stays: { ended: countOf("ended"), renewals: countOf("renewals"), others: countOf("others") },
  };
}

function add(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
