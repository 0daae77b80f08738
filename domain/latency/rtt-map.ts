/**
 * What round trips of each client group to each pool have been, bounded, with coarser groups to fall back on, and last of
 * all what distance says. Pure: time is an argument.
 */

import { assert } from "../assert.ts";
import { type Coordinates, distanceKm } from "../geography.ts";
import { type DistanceEstimate, DistanceModel } from "./distance-model.ts";
import { RttDigest } from "./rtt-digest.ts";

/** Gain of the smoothed RTT (RFC 6298 section 2). */
const SMOOTHING_GAIN = 1 / 8;
/** Weight of less than so many probes says nothing of a group: the next coarser one is asked. */
const EVIDENCE_MIN = 3;
/** Pools remembered for a group; the one not heard of for longest goes. */
const POOLS_PER_GROUP_MAX = 64;

/**
 * How much a sample counts by where it is from. What a session sees is under load and cannot be made up by who wants a
 * better pool; a client says of its probes what it likes; a resolver is near its clients, mostly.
 */
export const SOURCE_WEIGHTS = { session: 4, probe: 1, resolver: 0.5 } as const;
export type RttSource = keyof typeof SOURCE_WEIGHTS;

export interface RttSample {
  readonly pool: string;
  readonly rttMs: number;
  readonly atMs: number;
  readonly source: RttSource;
  /** How far who brought it is believed, above 0 to 1 (`ProbeTrust`). */
  readonly trustRatio?: number;
  /** Where both ends are; undefined where nothing is known of one. */
  readonly ends?: PathEnds | undefined;
}

export interface PathEnds {
  readonly client: Coordinates;
  readonly pool: Coordinates;
}

export interface RttSummary {
  readonly pool: string;
  /** The group it is known from: the client's own or a coarser one. */
  readonly group: string;
  readonly smoothedRttMs: number;
  readonly rttMsP50: number;
  readonly rttMsP95: number;
  readonly sampleCount: number;
  readonly ageMs: number;
}

interface Entry {
  smoothedRttMs: number;
  readonly digest: RttDigest;
  /** The weight of all samples, whatever their age. */
  evidence: number;
  sampleCount: number;
  lastAtMs: number;
}

export interface RttMapOptions {
  /** The group not heard of for longest goes when one more would be too many. */
  readonly groupsMax: number;
  /** Older entries are not believed. */
  readonly ageMsMax: number;
}

export class RttMap {
  readonly #options: RttMapOptions;
  /** In the order in which they were last heard of. */
  readonly #groups = new Map<string, Map<string, Entry>>();
  readonly #distance = new DistanceModel();

  constructor(options: RttMapOptions) {
    assert(options.groupsMax > 0, "an RTT map holds at least one group");
    this.#options = options;
  }

  get groupCount(): number {
    return this.#groups.size;
  }

  /** `groups` from the finest to the coarsest (prefix, network and cell, cell, country): a sample counts for each. */
  record(groups: readonly string[], sample: RttSample): void {
    const { rttMs, atMs, source, trustRatio = 1, ends } = sample;
    assert(Number.isFinite(rttMs) && rttMs >= 0, "an RTT is a number of milliseconds from 0");
    assert(trustRatio > 0 && trustRatio <= 1, "trust is above 0, to 1");
    const weight = SOURCE_WEIGHTS[source] * trustRatio;
    if (ends !== undefined) this.#distance.learn(groups.at(-1), { km: kmOf(ends), rttMs, weight });
    for (const group of groups) {
      const pools = touch(this.#groups, group, () => new Map<string, Entry>(), this.#options.groupsMax);
      addSample(
        touch(pools, sample.pool, () => emptyEntry(sample), POOLS_PER_GROUP_MAX),
        { rttMs, atMs, weight },
      );
    }
  }

  /** From the finest group that has enough samples young enough. */
  find(groups: readonly string[], pool: string, nowMs: number): RttSummary | undefined {
    for (const group of groups) {
      const entry = this.#groups.get(group)?.get(pool);
      if (entry !== undefined && this.#isBelieved(entry, nowMs)) return summarise(entry, { group, pool, nowMs });
    }
    return undefined;
  }

  /** The last resort, where `find` knows nothing: what distance alone says, by what the coarsest group measured elsewhere. */
  estimateByDistance(groups: readonly string[], ends: PathEnds): DistanceEstimate {
    return this.#distance.estimate(groups.at(-1), kmOf(ends));
  }

  /** The pools with the lowest median, nearest first: half of a group's weight has to lie to bring one to the front. */
  listNearest(groups: readonly string[], nowMs: number, countMax: number): RttSummary[] {
    const names = new Set(groups.flatMap((group) => [...(this.#groups.get(group)?.keys() ?? [])]));
    const summaries = [...names].flatMap((pool) => this.find(groups, pool, nowMs) ?? []);
    summaries.sort((a, b) => a.rttMsP50 - b.rttMsP50 || (a.pool < b.pool ? -1 : 1));
    return summaries.slice(0, countMax);
  }

  #isBelieved(entry: Entry, nowMs: number): boolean {
    return entry.evidence >= EVIDENCE_MIN && nowMs - entry.lastAtMs <= this.#options.ageMsMax;
  }
}

function kmOf({ client, pool }: PathEnds): number {
  return distanceKm(client, pool);
}

/** The value of the key, now the youngest; a fresh one where there is none, in place of the oldest if need be. */
function touch<V>(map: Map<string, V>, key: string, fresh: () => V, sizeMax: number): V {
  const value = map.get(key) ?? fresh();
  map.delete(key);
  const oldest = map.keys().next();
  if (map.size >= sizeMax && oldest.done !== true) map.delete(oldest.value);
  map.set(key, value);
  return value;
}

function emptyEntry({ rttMs, atMs }: { rttMs: number; atMs: number }): Entry {
  return { smoothedRttMs: rttMs, digest: new RttDigest(atMs), evidence: 0, sampleCount: 0, lastAtMs: atMs };
}

/** The plain mean of the first samples, and again of those after a long silence; smoothed from then on. */
function addSample(entry: Entry, { rttMs, atMs, weight }: { rttMs: number; atMs: number; weight: number }): void {
  const gain = Math.max(1 - (1 - SMOOTHING_GAIN) ** weight, weight / (weight + entry.digest.weightAt(atMs)));
  entry.smoothedRttMs += gain * (rttMs - entry.smoothedRttMs);
  entry.digest.add(rttMs, weight, atMs);
  entry.evidence += weight;
  entry.sampleCount += 1;
  entry.lastAtMs = Math.max(entry.lastAtMs, atMs);
}

function summarise(entry: Entry, of: { group: string; pool: string; nowMs: number }): RttSummary {
  return {
    pool: of.pool,
    group: of.group,
    smoothedRttMs: entry.smoothedRttMs,
    rttMsP50: entry.digest.quantileMs(0.5),
    rttMsP95: entry.digest.quantileMs(0.95),
    sampleCount: entry.sampleCount,
    ageMs: of.nowMs - entry.lastAtMs,
  };
}
