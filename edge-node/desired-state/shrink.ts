/**
 * Decides whether a set may take the place of another that had more. What is gone by name (a deletion in a batch, a
 * tombstone in a snapshot) may go; what is only not there any more may not, where that is much of its kind. Pure.
 */
import type { Resources } from "#contracts/codec/set-state.ts";
import type { DesiredRow, Tombstone } from "#domain/desired-state.ts";
import { EVERY_NAME, TOMBSTONE_KINDS } from "#domain/fleet/tombstone.ts";
import { versionOf } from "./subjects.ts";

/** Of what is held of a kind. More that is gone unsaid is taken for a fault of the origin, or the wrong log. */
export const SHRINK_PERCENT_MAX = 30;

export interface Shrink {
  /** A kind, or `Release`: of sites that stand and have none any more. */
  readonly kind: string;
  readonly lost: readonly string[];
  readonly held: number;
}

export interface SetChange {
  readonly before: Resources;
  readonly after: Resources;
  /** Of the batch; deletions are among those of one that is no snapshot. */
  readonly rows: readonly DesiredRow[];
  readonly tombstones: readonly Tombstone[];
}

/** The first kind of which too much is gone; `undefined`: the set may be taken. */
export function findShrink(change: SetChange): Shrink | undefined {
  const isNamed = namedIn(change);
  const shrinks = [...TOMBSTONE_KINDS.map((kind) => lostOf(kind, change, isNamed)), lostReleases(change, isNamed)];
  return shrinks.find(isTooMuch);
}

/** One of several may go unsaid: of two sites it would be half. The last one may not. */
function isTooMuch({ lost, held }: Shrink): boolean {
  if (lost.length * 100 <= held * SHRINK_PERCENT_MAX) return false;
  return lost.length > 1 || lost.length === held;
}

type IsNamed = (kind: string, name: string, version: number) => boolean;

/** A tombstone is of what was written before it: a resource of its name that was made later is not meant. */
function namedIn({ rows, tombstones }: SetChange): IsNamed {
  const deleted = new Set(rows.filter(({ resource }) => resource === undefined).map(keyOf));
  const said = new Map<string, number>();
  for (const stone of tombstones) said.set(keyOf(stone), Math.max(said.get(keyOf(stone)) ?? 0, stone.revision));
  return (kind, name, version) =>
    deleted.has(`${kind}/${name}`) || [name, EVERY_NAME].some((word) => (said.get(`${kind}/${word}`) ?? 0) > version);
}

function keyOf({ kind, name }: { readonly kind: string; readonly name: string }): string {
  return `${kind}/${name}`;
}

function lostOf(kind: string, { before, after }: SetChange, isNamed: IsNamed): Shrink {
  const held = [...before.values()].filter((resource) => resource.kind === kind);
  const lost = held.filter(({ metadata: { name, resourceVersion } }) => {
    return !after.has(`${kind}/${name}`) && !isNamed(kind, name, resourceVersion);
  });
  return { kind, lost: lost.map(({ metadata }) => metadata.name), held: held.length };
}

/** A release goes with its site, or where a newer one has taken its place. */
function lostReleases({ before, after }: SetChange, isNamed: IsNamed): Shrink {
  const held = sitesWithRelease(before);
  const still = sitesWithRelease(after);
  const lost = [...held].filter((site) => {
    const stands = after.has(`Site/${site}`) && !still.has(site);
    return stands && !isNamed("Site", site, versionOf(before, `Release/${site}`));
  });
  return { kind: "Release", lost, held: held.size };
}

function sitesWithRelease(resources: Resources): ReadonlySet<string> {
  const sites = new Set<string>();
  for (const resource of resources.values()) if (resource.kind === "Release") sites.add(resource.spec.site);
  return sites;
}
