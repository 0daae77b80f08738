/** Says what the ContentPolicies of a site come to, and which of them says each part. Pure. */
import type { NamedContentPolicy } from "./content-policy.ts";
import { contentRulesOf, mayPrefetch } from "./content-rules.ts";
import { describeWindow, nextOpenMs } from "./prefetch-window.ts";

/** A window of a week comes again within it, also where a change to summer time leaves it out once. */
const OPENING_MS_MAX = 15 * 86_400_000;

export interface ExplainedField {
  readonly field: string;
  readonly value: string;
  /** Names of policies: those that say so. */
  readonly saidBy: readonly string[];
}

export interface ExplainedContent {
  /** Names of the policies of the site. */
  readonly policies: readonly string[];
  readonly fields: readonly ExplainedField[];
  readonly prefetchNow: string;
}

export function explainContent(policies: readonly NamedContentPolicy[], site: string, nowMs: number): ExplainedContent {
  const naming = policies.filter(({ spec }) => spec.sites.includes(site));
  const specs = naming.map(({ spec }) => spec);
  const rules = contentRulesOf(specs, site);
  const { maxStaleSeconds, denyAfterSeconds } = rules.offline;
  const saying = (says: (spec: NamedContentPolicy["spec"]) => boolean) =>
    naming.filter(({ spec }) => says(spec)).map(({ name }) => name);
  const number = (field: string, value: number | undefined, of: (spec: NamedContentPolicy["spec"]) => unknown) =>
    value === undefined ? [] : [{ field, value: String(value), saidBy: saying((spec) => of(spec) === value) }];
  return {
    policies: naming.map(({ name }) => name),
    fields: [
      ...number("replicas", rules.replicas, ({ replicas }) => replicas),
      ...naming.flatMap(({ name, spec }) =>
        Object.entries(spec.residency ?? {}).map(([label, value]) => {
          return { field: "residency", value: `${label}=${value}`, saidBy: [name] };
        }),
      ),
      ...prefetchFields(naming, rules.isNever),
      ...number("offline.maxStaleSeconds", maxStaleSeconds, ({ offline }) => offline?.maxStaleSeconds),
      ...number("offline.denyAfterSeconds", denyAfterSeconds, ({ offline }) => offline?.denyAfterSeconds),
    ],
    prefetchNow: prefetchNow(rules, nowMs),
  };
}

function prefetchFields(naming: readonly NamedContentPolicy[], isNever: boolean): ExplainedField[] {
  const field = "prefetch";
  if (isNever) {
    const saidBy = naming.filter(({ spec }) => spec.prefetch === "none").map(({ name }) => name);
    return [{ field, value: "none", saidBy }];
  }
  const windows = naming.flatMap(({ name, spec }) =>
    typeof spec.prefetch === "string"
      ? []
      : [{ field, value: spec.prefetch.windows.map(describeWindow).join("; "), saidBy: [name] }],
  );
  return windows.length > 0 ? windows : [{ field, value: "all", saidBy: naming.map(({ name }) => name) }];
}

function prefetchNow(rules: ReturnType<typeof contentRulesOf>, nowMs: number): string {
  if (rules.isNever) return "never";
  if (mayPrefetch(rules, nowMs)) return "now";
  const opensMs = nextOpenMs(rules.windows, { fromMs: nowMs, withinMs: OPENING_MS_MAX });
  return opensMs === undefined ? "never" : `from ${new Date(opensMs).toISOString()}`;
}
