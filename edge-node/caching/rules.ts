/** Which of a Site's cache rules is for a path. Pure. */
import type { CacheRule } from "#domain/content/site.ts";
import type { SiteRule } from "./storage.ts";

/** The first that matches: a path as it is, or a prefix before `*`; the query does not count. */
export function ruleFor(rules: readonly CacheRule[], target: string): SiteRule {
  if (rules.length === 0) return {};
  const [path = ""] = target.split("?", 1);
  const isFor = (rule: CacheRule) =>
    rule.path.endsWith("*") ? path.startsWith(rule.path.slice(0, -1)) : path === rule.path;
  return rules.find(isFor) ?? {};
}
