/** What an edge reads out of its pool's set: sites with their newest release, assignments, purges, revocations. Pure. */

import type { Resources } from "#contracts/codec/set-state.ts";
import type { ReleaseSpec } from "#domain/content/release.ts";
import type { SiteSpec } from "#domain/content/site.ts";
import type { RevocationSpec } from "#domain/fleet/revocation.ts";
import type { OfflineBounds } from "#domain/policy/content-policy.ts";
import { type ContentRules, contentRulesOf } from "#domain/policy/content-rules.ts";
import type { AnyResource, Kind, Resource } from "#domain/resource.ts";

export interface DesiredSite {
  readonly name: string;
  readonly spec: SiteSpec;
  /** Of the highest generation in the set; `undefined` while none is released. */
  readonly release: ReleaseSpec | undefined;
  /** Held ahead of requests; other releases are fetched object by object as they are asked for. */
  readonly isAssigned: boolean;
  /** What is assigned is fetched ahead of requests while each of these lists has a window that is open. */
  readonly fillWindows: ContentRules["windows"];
  /** While cut off, by the strictest policy: how stale at most, and after how long not at all. */
  readonly offline: OfflineBounds;
}

export interface DesiredView {
  readonly sites: ReadonlyMap<string, DesiredSite>;
  readonly purges: readonly Resource<"Purge">[];
  /** How long this pool goes on alone. */
  readonly autonomySeconds: number | undefined;
  /** What copies that nobody has asked for may take of this pool's link; undefined where it does not say. */
  readonly fillBytesPerSecond: number | undefined;
}

export function* resourcesOf<K extends Kind>(resources: Resources, kind: K): Generator<Resource<K>> {
  for (const resource of resources.values()) if (isOfKind(resource, kind)) yield resource;
}

function isOfKind<K extends Kind>(resource: AnyResource, kind: K): resource is Extract<AnyResource, Resource<K>> {
  return resource.kind === kind;
}

export function viewOf(resources: Resources, pool: string): DesiredView {
  const newest = new Map<string, ReleaseSpec>();
  for (const { spec } of resourcesOf(resources, "Release")) {
    if (spec.generation > (newest.get(spec.site)?.generation ?? 0)) newest.set(spec.site, spec);
  }
  const assigned = assignedSites(resources);
  const policies = [...resourcesOf(resources, "ContentPolicy")].map(({ spec }) => spec);
  const sites = new Map<string, DesiredSite>();
  for (const { metadata, spec } of resourcesOf(resources, "Site")) {
    const { name } = metadata;
    const { windows: fillWindows, offline } = contentRulesOf(policies, name);
    sites.set(name, { name, spec, release: newest.get(name), isAssigned: assigned.has(name), fillWindows, offline });
  }
  const poolSpec = [...resourcesOf(resources, "NodePool")].find(({ metadata }) => metadata.name === pool)?.spec;
  return {
    sites,
    purges: [...resourcesOf(resources, "Purge")],
    autonomySeconds: poolSpec?.autonomyDurationSeconds,
    fillBytesPerSecond: poolSpec?.fillBytesPerSecond,
  };
}

/** The sites themselves, and those that the assigned apps' scenes come from. */
function assignedSites(resources: Resources): ReadonlySet<string> {
  const assignments = [...resourcesOf(resources, "Assignment")];
  const apps = new Set(assignments.flatMap(({ spec }) => spec.apps));
  const scenes = [...resourcesOf(resources, "RenderApp")]
    .filter(({ metadata }) => apps.has(metadata.name))
    .map(({ spec }) => spec.bundle.site);
  return new Set([...assignments.flatMap(({ spec }) => spec.sites), ...scenes]);
}

/** Of each set that was asked: a set does not change, what follows it is another map. */
const REVOKED = new WeakMap<Resources, readonly RevocationSpec["subject"][]>();

/** Walks the set once, then what is revoked in it: asked of each request of a sibling, token and key. */
export function isRevoked(resources: Resources, subject: RevocationSpec["subject"]): boolean {
  let revoked = REVOKED.get(resources);
  if (revoked === undefined) {
    revoked = [...resourcesOf(resources, "Revocation")].map(({ spec }) => spec.subject);
    REVOKED.set(resources, revoked);
  }
  return revoked.some((one) => isSame(one, subject));
}

/** A revocation of a node without a serial takes back every certificate of it. */
function isSame(revoked: RevocationSpec["subject"], asked: RevocationSpec["subject"]): boolean {
  switch (revoked.kind) {
    case "token":
      return asked.kind === "token" && asked.id === revoked.id;
    case "key":
      return asked.kind === "key" && asked.keyId === revoked.keyId;
    case "node":
      if (asked.kind !== "node" || asked.name !== revoked.name) return false;
      return revoked.certificateSerial === undefined || revoked.certificateSerial === asked.certificateSerial;
  }
}
