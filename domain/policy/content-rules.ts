/** What the ContentPolicies that name a site come to: of each field the strictest word. Pure. */
import type { Labels } from "../placement/labels.ts";
import type { ContentPolicySpec, OfflineBounds } from "./content-policy.ts";
import { areOpen, type PrefetchWindow } from "./prefetch-window.ts";

export interface ContentRules {
  /** No copy is planned. */
  readonly isNever: boolean;
  /** Of each policy that has any: planned copies begin while all of these lists have one that is open. */
  readonly windows: readonly (readonly PrefetchWindow[])[];
  /** Undefined: every pool that may. */
  readonly replicas: number | undefined;
  /** All of them hold. */
  readonly residency: readonly Labels[];
  readonly offline: OfflineBounds;
}

/** A site that no policy names is held everywhere, at any time. */
export function contentRulesOf(policies: readonly ContentPolicySpec[], site: string): ContentRules {
  const naming = policies.filter((policy) => policy.sites.includes(site));
  return {
    isNever: naming.some(({ prefetch }) => prefetch === "none"),
    windows: naming.flatMap(({ prefetch }) => (typeof prefetch === "string" ? [] : [prefetch.windows])),
    replicas: least(naming.map(({ replicas }) => replicas)),
    residency: naming.flatMap(({ residency }) => (residency === undefined ? [] : [residency])),
    offline: strictest(naming),
  };
}

/** Whether a copy that nobody has asked for may begin. */
export function mayPrefetch({ isNever, windows }: Pick<ContentRules, "isNever" | "windows">, atMs: number): boolean {
  return !isNever && areOpen(windows, atMs);
}

/** The first label that the pool lacks; undefined where it may hold the content. */
export function findResidencyBreach(labels: Labels, residency: readonly Labels[]): string | undefined {
  const unmet = residency.flatMap(Object.entries).find(([label, value]) => labels[label] !== value);
  return unmet === undefined ? undefined : `label ${unmet[0]} must be ${unmet[1]}`;
}

function strictest(naming: readonly ContentPolicySpec[]): OfflineBounds {
  const maxStaleSeconds = least(naming.map(({ offline }) => offline?.maxStaleSeconds));
  const denyAfterSeconds = least(naming.map(({ offline }) => offline?.denyAfterSeconds));
  return {
    ...(maxStaleSeconds === undefined ? {} : { maxStaleSeconds }),
    ...(denyAfterSeconds === undefined ? {} : { denyAfterSeconds }),
  };
}

function least(given: readonly (number | undefined)[]): number | undefined {
  const numbers = given.filter((value) => value !== undefined);
  return numbers.length === 0 ? undefined : Math.min(...numbers);
}
