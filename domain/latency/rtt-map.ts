/** What round trips of each client group to each pool have been, bounded, with coarser groups to fall back on. Pure: time is an argument. */

import { assert } from "../assert.ts";
import { type Coordinates, distanceKm } from "../geography.ts";

/** Light in fibre covers 100 km there and back in 1 ms. */
const FIBRE_KM_PER_RTT_MS = 100;
/** Paths are longer than the great circle; the usual detour of terrestrial fibre. */
const DETOUR_RATIO = 1.5;
/** The access network's share, however near the pool is. */
const ACCESS_RTT_MS = 3;
/** Gain of the smoothed RTT (RFC 6298 section 2). */
const SMOOTHING_GAIN = 1 / 8;
/** Enough for a 95th percentile that is not the maximum. */
const SAMPLES_MAX = 32;
/** Fewer say nothing of a group: the next coarser one is asked. */
const SAMPLES_MIN = 3;
/** Pools remembered for a group; the one not heard of for longest goes. */
const POOLS_PER_GROUP_MAX = 64;

/** RTT to expect from distance alone. */
export function estimateRttMs(client: Coordinates, pool: Coordinates): number {
  return ACCESS_RTT_MS + (distanceKm(client, pool) * DETOUR_RATIO) / FIBRE_KM_PER_RTT_MS;
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
  readonly samplesMs: number[];
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

  constructor(options: RttMapOptions) {
    assert(options.groupsMax > 0, "an RTT map holds at least one group");
    this.#options = options;
  }

  get groupCount(): number {
    return this.#groups.size;
  }

  /** `groups` from the finest to the coarsest (prefix, cell, country): a sample counts for each. */
  record(groups: readonly string[], sample: { pool: string; rttMs: number; atMs: number }): void {
    assert(Number.isFinite(sample.rttMs) && sample.rttMs >= 0, "an RTT is a number of milliseconds from 0");
    for (const group of groups) {
      const pools = touch(this.#groups, group, new Map<string, Entry>(), this.#options.groupsMax);
      const fresh: Entry = { smoothedRttMs: sample.rttMs, samplesMs: [], sampleCount: 0, lastAtMs: sample.atMs };
      addSample(touch(pools, sample.pool, fresh, POOLS_PER_GROUP_MAX), sample);
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

  /** The pools with the lowest smoothed RTT, nearest first. */
  listNearest(groups: readonly string[], nowMs: number, countMax: number): RttSummary[] {
    const names = new Set(groups.flatMap((group) => [...(this.#groups.get(group)?.keys() ?? [])]));
    const summaries = [...names].flatMap((pool) => this.find(groups, pool, nowMs) ?? []);
    summaries.sort((a, b) => a.smoothedRttMs - b.smoothedRttMs || (a.pool < b.pool ? -1 : 1));
    return summaries.slice(0, countMax);
  }

  #isBelieved(entry: Entry, nowMs: number): boolean {
    return entry.samplesMs.length >= SAMPLES_MIN && nowMs - entry.lastAtMs <= this.#options.ageMsMax;
  }
}

/** The value of the key, now the youngest; `fresh` where there is none, in place of the oldest if need be. */
function touch<V>(map: Map<string, V>, key: string, fresh: V, sizeMax: number): V {
  const value = map.get(key) ?? fresh;
  map.delete(key);
  const oldest = map.keys().next();
  if (map.size >= sizeMax && oldest.done !== true) map.delete(oldest.value);
  map.set(key, value);
  return value;
}

function addSample(entry: Entry, sample: { rttMs: number; atMs: number }): void {
  entry.smoothedRttMs += SMOOTHING_GAIN * (sample.rttMs - entry.smoothedRttMs);
  entry.samplesMs.push(sample.rttMs);
  if (entry.samplesMs.length > SAMPLES_MAX) entry.samplesMs.shift();
  entry.sampleCount += 1;
  entry.lastAtMs = Math.max(entry.lastAtMs, sample.atMs);
}

function summarise(entry: Entry, of: { group: string; pool: string; nowMs: number }): RttSummary {
  const sorted = entry.samplesMs.toSorted((a, b) => a - b);
  const rttMsP50 = sorted[Math.ceil(sorted.length * 0.5) - 1];
  const rttMsP95 = sorted[Math.ceil(sorted.length * 0.95) - 1];
  assert(rttMsP50 !== undefined && rttMsP95 !== undefined, "an entry has a sample");
  return {
    pool: of.pool,
    group: of.group,
    smoothedRttMs: entry.smoothedRttMs,
    rttMsP50,
    rttMsP95,
    sampleCount: entry.sampleCount,
    ageMs: of.nowMs - entry.lastAtMs,
  };
}
