/** What is suspicious of a ContentPolicy beside others and over the fleet: nothing that has to be refused. Pure. */
import type { Fault } from "../schema-faults.ts";
import type { NamedContentPolicy } from "./content-policy.ts";
import { type ContentRules, contentRulesOf, findResidencyBreach } from "./content-rules.ts";
import type { JudgedPool } from "./policy-warnings.ts";
import { nextOpenMs } from "./prefetch-window.ts";

const WEEK_MS = 604_800_000;
/** Mondays: time zones with summer time have it in one of these weeks and not in the other. */
const WEEKS_MS = [Date.UTC(2026, 0, 5), Date.UTC(2026, 6, 6)];

export interface ContentFleet {
  readonly pools: readonly JudgedPool[];
  /** Names of pools that edges have joined; where there is none all are to come. */
  readonly withEdges: ReadonlySet<string>;
}

/** Of one policy among all that there will be, itself included. */
export function findContentWarnings(
  policy: NamedContentPolicy,
  policies: readonly NamedContentPolicy[],
  fleet: ContentFleet,
): readonly Fault[] {
  const warnings = policy.spec.sites.flatMap((site) => siteWarnings(site, policy, policies, fleet));
  const own = policy.spec.prefetch === "none" && policy.spec.replicas !== undefined;
  const unused = {
    pointer: "/spec/replicas",
    message: `spec.replicas says nothing beside prefetch: none: no copies are planned`,
  };
  const all = own ? [unused, ...warnings] : warnings;
  return [...new Map(all.map((fault) => [`${fault.pointer} ${fault.message}`, fault])).values()];
}

function siteWarnings(
  site: string,
  policy: NamedContentPolicy,
  policies: readonly NamedContentPolicy[],
  fleet: ContentFleet,
): Fault[] {
  const naming = policies.filter(({ spec }) => spec.sites.includes(site));
  const rules = contentRulesOf(
    naming.map(({ spec }) => spec),
    site,
  );
  return [
    ...noneWarnings(policy, naming),
    ...(rules.isNever ? [] : [...windowWarnings(rules, naming), ...poolWarnings(rules, naming, fleet)]),
    ...offlineWarnings(rules, naming),
  ];
}

/** Of one says that no copies are planned, and another when or how many. */
function noneWarnings({ spec, name }: NamedContentPolicy, naming: readonly NamedContentPolicy[]): Fault[] {
  const isNone = (other: NamedContentPolicy) => other.spec.prefetch === "none";
  const nones = naming.filter(isNone);
  const others = naming.filter((other) => !isNone(other));
  if (nones.length === 0 || others.length === 0) return [];
  const listed = spec.prefetch === "none" ? others : nones;
  const message = `policies ${namesOf([{ name, spec }, ...listed])} are for one site and differ in prefetch: none is the strictest, so no copies of it are planned`;
  return [{ pointer: "/spec/prefetch", message }];
}

function windowWarnings({ windows }: ContentRules, naming: readonly NamedContentPolicy[]): Fault[] {
  const isEver = WEEKS_MS.some((fromMs) => nextOpenMs(windows, { fromMs, withinMs: WEEK_MS }) !== undefined);
  if (isEver) return [];
  const withWindows = naming.filter(({ spec }) => typeof spec.prefetch !== "string");
  const message =
    windows.length === 1
      ? `spec.prefetch.windows are never open`
      : `policies ${namesOf(withWindows)} are for one site, and no time is in windows of each: no copies of it are planned`;
  return [{ pointer: "/spec/prefetch/windows", message }];
}

function poolWarnings(
  { residency, replicas }: ContentRules,
  naming: readonly NamedContentPolicy[],
  { pools, withEdges }: ContentFleet,
): Fault[] {
  if (pools.length === 0) return [];
  const permitting = pools.filter(({ labels }) => findResidencyBreach(labels, residency) === undefined);
  const permitted = permitting.length;
  const of = naming.length === 1 ? "" : ` of policies ${namesOf(naming)} together`;
  if (permitted === 0) {
    const message = `spec.residency${of}: no pool of ${pools.length} has all of the labels: the content is held and served nowhere`;
    return [{ pointer: "/spec/residency", message }];
  }
  if (withEdges.size > 0 && !permitting.some(({ pool }) => withEdges.has(pool))) {
    const message = `spec.residency${of}: no pool that has all of the labels has an edge (${permitted} of ${pools.length} pools have them): the content is held and served nowhere until one joins`;
    return [{ pointer: "/spec/residency", message }];
  }
  if (replicas === undefined || replicas <= permitted) return [];
  const message = `spec.replicas${of}: ${replicas} copies are asked for, and the content may be in ${permitted} of ${pools.length} pools`;
  return [{ pointer: "/spec/replicas", message }];
}

function offlineWarnings({ offline }: ContentRules, naming: readonly NamedContentPolicy[]): Fault[] {
  const { maxStaleSeconds, denyAfterSeconds } = offline;
  if (naming.length === 1 || maxStaleSeconds === undefined || denyAfterSeconds === undefined) return [];
  if (maxStaleSeconds <= denyAfterSeconds) return [];
  const message = `spec.offline of policies ${namesOf(naming)} together: maxStaleSeconds (${maxStaleSeconds}) exceeds denyAfterSeconds (${denyAfterSeconds}), after which nothing is served`;
  return [{ pointer: "/spec/offline", message }];
}

function namesOf(policies: readonly NamedContentPolicy[]): string {
  const names = policies.map(({ name }) => name).sort();
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
