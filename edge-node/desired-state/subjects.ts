/** What a set says, by subject: a resource, or for releases their site, since each release is a resource of its own. Pure. */
import type { Resources } from "#contracts/codec/set-state.ts";
import type { DesiredRow } from "#domain/desired-state.ts";

const RELEASES = "Release/";

/** `Kind/name`; of a release `Release/SITE`. */
export function subjectOf({ kind, name }: Pick<DesiredRow, "kind" | "name">): string {
  return kind === "Release" ? `${RELEASES}${name.slice(0, name.lastIndexOf("."))}` : `${kind}/${name}`;
}

/** The `resourceVersion` of what the set says of a subject, the newest where it says several things; 0: nothing. */
export function versionOf(resources: Resources, subject: string): number {
  if (!subject.startsWith(RELEASES)) return resources.get(subject)?.metadata.resourceVersion ?? 0;
  let newest = 0;
  for (const [key, { metadata }] of resources) {
    if (key.startsWith(`${subject}.`)) newest = Math.max(newest, metadata.resourceVersion);
  }
  return newest;
}

/** Of all that differ. */
export function changedSubjects(before: Resources, after: Resources): ReadonlySet<string> {
  const changed = new Set<string>();
  for (const [key, { kind, metadata }] of before) {
    if (after.get(key)?.metadata.resourceVersion !== metadata.resourceVersion) {
      changed.add(subjectOf({ kind, name: metadata.name }));
    }
  }
  for (const [key, { kind, metadata }] of after) {
    if (!before.has(key)) changed.add(subjectOf({ kind, name: metadata.name }));
  }
  return changed;
}
