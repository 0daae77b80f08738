/** Decides the next step that brings a published site to its newest release. Pure. */
import type { Manifest, ReleaseSpec } from "#domain/content/release.ts";

export interface ReleaseFacts {
  /** The newest in the set. */
  readonly release: ReleaseSpec | undefined;
  /** It is assigned, and the windows of its policies are open. */
  readonly isFilled: boolean;
  /** Generation served; 0 while none is. */
  readonly active: number;
  /** Highest generation that was ever served. */
  readonly floor: number;
  /** Highest generation that crashed here. */
  readonly quarantined: number;
  /** Of `release`, verified. */
  readonly manifest: Manifest | undefined;
  /** Objects of `manifest` that are not here. */
  readonly missing: number;
  readonly nowMs: number;
}

export type ReleaseStep =
  | { readonly kind: "none" }
  | { readonly kind: "refuse-older" }
  | { readonly kind: "fetch-manifest" }
  /** Ahead of requests; also where objects of the release that is served are missing. */
  | { readonly kind: "prefetch" }
  | { readonly kind: "wait" }
  | { readonly kind: "activate" };

/**
 * While a release is filled it is served once it is complete, another one once its manifest is verified: outside its
 * windows what is asked for is fetched as it is asked for.
 */
export function decideReleaseStep(facts: ReleaseFacts): ReleaseStep {
  const { release, isFilled, active, floor, quarantined, manifest, missing, nowMs } = facts;
  if (release === undefined || release.generation <= quarantined) return { kind: "none" };
  if (release.generation < floor) return { kind: "refuse-older" };
  if (release.generation === active) return { kind: isFilled && missing > 0 ? "prefetch" : "none" };
  if (manifest === undefined) return { kind: "fetch-manifest" };
  if (isFilled && missing > 0) return { kind: "prefetch" };
  return { kind: nowMs < release.activateAtMs ? "wait" : "activate" };
}
