/** What a simulation replays: who comes when, for which app, and for how long; and the pools that there are. Pure. */
import { assert } from "../assert.ts";
import type { Coordinates } from "../geography.ts";
import type { DeviceTimes } from "../latency/budget.ts";
import type { Labels } from "../placement/labels.ts";
import type { RenderAppSpec } from "../session/render-app.ts";

/** Clients that are as far from each pool as each other, and the same to every policy. */
export interface ClientGroup {
  /** Groups of one name are told of as one. */
  readonly name: string;
  readonly coordinates: Coordinates;
  /** Of the pool nearest to it. */
  readonly region: string;
  readonly country?: string | undefined;
  readonly tenant?: string | undefined;
  readonly asn?: number | undefined;
  readonly address?: string | undefined;
  /** By pool, where it is known; elsewhere `estimateMs` says. */
  readonly rttMs?: ReadonlyMap<string, number> | undefined;
  /** The round trip to a pool there; by fibre where not given. */
  readonly estimateMs?: ((pool: Coordinates) => number) | undefined;
  /** Of a single session: what it asks is found when it comes, and not kept. */
  readonly isOneSession?: true;
  /** What it measured of itself; undefined where it has not. */
  readonly device?: DeviceTimes | undefined;
}

export interface DayApp {
  readonly name: string;
  readonly spec: Pick<RenderAppSpec, "needs" | "classes">;
  /** The published site that its scene is a file of; `bytes` are those of its release, undefined where nobody says. */
  readonly bundle?: { readonly site: string; readonly bytes?: number | undefined } | undefined;
}

/** In columns, in the order of `atSeconds`. */
export interface Arrivals {
  readonly count: number;
  /** From when the day begins, midnight UTC where none was recorded; below 0 is what fills the pools before the day begins, and is not counted. */
  readonly atSeconds: Float64Array;
  readonly durationSeconds: Float32Array;
  /** Places in the lists of the day. */
  readonly group: Uint32Array;
  readonly app: Uint16Array;
  /** Place in `TIERS`. */
  readonly tier: Uint8Array;
}

export interface Day {
  /** What it was made from, for who reads the result. */
  readonly source: string;
  readonly groups: readonly ClientGroup[];
  readonly apps: readonly DayApp[];
  readonly arrivals: Arrivals;
  /** How many sessions each arrival stands for. */
  readonly sessionsPerArrival: number;
  /** How many of those run at once: pools have so many times fewer slots. The others come after each other, in one long visit. */
  readonly slotsPerArrival: number;
  /** When most come. */
  readonly busiestSeconds: number;
}

export interface PoolClass {
  readonly renderClass: string;
  readonly slots: number;
  readonly renderEncodeMsP95: number;
}

export interface DayPool {
  readonly name: string;
  readonly region: string;
  readonly coordinates: Coordinates;
  readonly labels: Labels;
  /** What each class alone would have; together they share the pool. */
  readonly classes: readonly PoolClass[];
  readonly reachable: boolean;
  readonly cordoned: boolean;
  readonly draining: boolean;
  /** Of a slot that is in use; undefined where nobody says. */
  readonly slotHourCost?: number | undefined;
  /** Undefined where nobody says. */
  readonly gpus?: number | undefined;
  /** Sites whose releases it holds when the day begins, and the room for them; nothing and no bound where not given. */
  readonly scenes?: { readonly sites: readonly string[]; readonly roomBytes?: number | undefined } | undefined;
}

const HASH_RANGE = 0x1_0000_0000;

/**
 * How often an arrival happens at so many times the load: those of a lower load are among those of a higher. The same
 * arrivals for the same day, so that two simulations differ in what was changed and in nothing else.
 */
export function repeatsOf(index: number, load: number): number {
  assert(load >= 0, "a load is from 0");
  const whole = Math.floor(load);
  return whole + (ratioOfHash(hashOf(index)) < load - whole ? 1 : 0);
}

/** Evenly in 32 bits, another one for each seed (FNV-1a, then the finaliser). */
export function hashOfText(text: string, seed: number): number {
  let hash = 0x811c_9dc5 ^ seed;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
  return hashOf(hash);
}

/** In [0, 1). */
export function ratioOfHash(hash: number): number {
  return hash / HASH_RANGE;
}

/** A finaliser of 32 bits with full avalanche: neighbours have nothing in common. */
function hashOf(index: number): number {
  let mixed = Math.imul(index ^ (index >>> 16), 0x21f0_aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
