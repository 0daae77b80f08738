/**
 * Which members of a pool a key belongs to: rendezvous hashing (Thaler and Ravishankar 1998) with bounded loads
 * (Mirrokni, Thorup and Zadimoghaddam 2017). Pure.
 *
 * The order of two members for a key does not depend on who else is there. A node that asks only members before itself
 * in that order can therefore never wait, over others, for itself: whatever each of them knows of the pool.
 */

export interface LoadBounds {
  /** How far over the mean a member's load may be. */
  readonly loadRatioMax: number;
  /** A load below this bounds nobody: a few requests at once are no skew. */
  readonly loadMin: number;
}

/** The members' names in the order in which a key's home is looked for; O(members · log members). */
export function rankMembers(key: string, names: readonly string[]): readonly string[] {
  const keyHash = hashOf(key);
  return names
    .map((name) => ({ name, score: scoreOf(keyHash, hashOf(name)) }))
    .sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1))
    .map(({ name }) => name);
}

/** What one member may have under way when one more request of `loads` in all is to be placed. */
export function loadMaxOf(loads: readonly number[], { loadRatioMax, loadMin }: LoadBounds): number {
  const total = loads.reduce((sum, load) => sum + load, 1);
  return Math.max(loadMin, Math.ceil((loadRatioMax * total) / Math.max(1, loads.length)));
}

/** `ranked` without the members that are at their bound: the first that is left is the key's home now. */
export function withinBounds(
  ranked: readonly string[],
  loadOf: (name: string) => number,
  bounds: LoadBounds,
): readonly string[] {
  const loadMax = loadMaxOf(ranked.map(loadOf), bounds);
  return ranked.filter((name) => loadOf(name) < loadMax);
}

/** Between 0 and 1, neither of them, and uniform over names: the same for the same two. */
export function uniformOf(key: string, name: string): number {
  return (scoreOf(hashOf(key), hashOf(name)) + 0.5) / SCORES;
}

interface Hash {
  readonly high: number;
  readonly low: number;
}

const FNV_PRIME = 0x01000193;
const FNV_OFFSET = 0x811c9dc5;
/** 2^32 divided by the golden ratio: another sequence than that of the offset itself. */
const GOLDEN = 0x9e3779b9;

/** Two FNV-1a hashes over the UTF-16 code units, each avalanched. */
function hashOf(text: string): Hash {
  let high = FNV_OFFSET;
  let low = FNV_OFFSET ^ GOLDEN;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    high = Math.imul(high ^ unit, FNV_PRIME);
    low = Math.imul(low ^ unit ^ (high >>> 15), FNV_PRIME);
  }
  return { high: avalanche(high), low: avalanche(low) };
}

const SCORES = 2 ** 52;

/** 52 bits, uniform. */
function scoreOf(key: Hash, name: Hash): number {
  const high = avalanche(key.high ^ name.high);
  const low = avalanche(key.low ^ name.low ^ high);
  return (high >>> 0) * 2 ** 20 + (low >>> 12);
}

/** The finaliser of MurmurHash3 (Appleby 2011): every bit of the input changes half of those of the output. */
function avalanche(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
