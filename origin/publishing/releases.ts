/** The releases of a site: in order, deleted with it, and their generations, which go on where a site is made again. */
import { FIRST_EPOCH } from "#domain/desired-state.ts";
import type { Resource } from "#domain/resource.ts";
import type { ResourceLog, Write } from "../log/resource-log.ts";
import { listResources } from "../log/resources.ts";

/** In order of generation. */
export function releasesOf(log: ResourceLog, site: string): readonly Resource<"Release">[] {
  return listResources(log, "Release")
    .filter((release) => release.spec.site === site)
    .sort((a, b) => a.spec.generation - b.spec.generation);
}

/** What a log that was restored leaves out, for releases that nodes serve and a backup has lost. */
const GENERATIONS_AN_EPOCH = 1_000_000;

/** Of any site that had the name: nodes take no release that is older than what they served. 0 while there was none. */
export function newestGeneration(log: ResourceLog, site: string): number {
  const lostBefore = (log.epoch - FIRST_EPOCH) * GENERATIONS_AN_EPOCH;
  return Math.max(log.kept(generationOf(site)), releasesOf(log, site).at(-1)?.spec.generation ?? 0, lostBefore);
}

/** With its releases and what is said of its end, in one transaction. Throws `not-found`. */
export async function deleteSite(log: ResourceLog, site: string, said: readonly Write[] = []): Promise<void> {
  await deleteReleases(log, site, [deletionOf("Site", site), ...said]);
}

/** Of sites that are gone: 0.1.0 left their releases. */
export async function deleteOrphanedReleases(log: ResourceLog): Promise<void> {
  const sites = new Set(listResources(log, "Release").map(({ spec }) => spec.site));
  for (const site of sites) if (log.find("Site", site) === undefined) await deleteReleases(log, site, []);
}

async function deleteReleases(log: ResourceLog, site: string, first: readonly Write[]): Promise<void> {
  const releases = releasesOf(log, site).map(({ metadata }) => deletionOf("Release", metadata.name));
  await log.write([...first, ...releases], { name: generationOf(site), value: newestGeneration(log, site) });
}

function generationOf(site: string): string {
  return `release-generation/${site}`;
}

function deletionOf(kind: "Site" | "Release", name: string): Write {
  return { kind, name, render: () => undefined };
}
