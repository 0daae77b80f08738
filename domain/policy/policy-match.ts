/** Whom a PlacementPolicy is for, and which of several comes first. Pure. */
import { contains, type IpNetwork, parseIp, parseNetwork } from "../ip-networks.ts";
import type { PolicyMatch, Tier, WrittenPlacementPolicy } from "./placement-policy.ts";

/** What is known of who asks; what is not known matches no list. */
export interface PolicyClient {
  /** Of the app token. */
  readonly tenant?: string | undefined;
  /** ISO 3166-1 alpha-2. */
  readonly country?: string | undefined;
  readonly asn?: number | undefined;
  readonly address?: string | undefined;
  readonly device?: { readonly decodeMs: number; readonly jitterMs: number } | undefined;
}

export interface PolicySubject extends PolicyClient {
  readonly app?: string;
  readonly site?: string;
  readonly tier?: Tier;
}

export type Judgement =
  | { readonly kind: "holds" }
  | { readonly kind: "does-not-hold" }
  | { readonly kind: "failed"; readonly reason: string };

/** A port: an expression that has been compiled. */
export type Expression<Subject> = (subject: Subject) => Judgement;

export interface NamedPolicy {
  readonly name: string;
  /** Of the log entry that set it; 0 where it is not known. */
  readonly revision?: number;
  readonly spec: WrittenPlacementPolicy;
  /** Of `match.expression`; a policy that has one and is not given this matches nobody. */
  readonly expression?: Expression<PolicySubject> | undefined;
}

/** By what a policy matches, from the most to the least telling; a policy is as telling as the sum of what it has. */
const WEIGHTS = { cidrs: 32, asns: 16, countries: 8, tenants: 4, expression: 2, tiers: 1 } as const;
type MatchField = keyof typeof WEIGHTS;
const MATCH_FIELDS: readonly MatchField[] = ["cidrs", "asns", "countries", "tenants", "expression", "tiers"];

export interface MatchedPolicy {
  readonly policy: NamedPolicy;
  /** Length of the longest prefix that holds the address; 0 where it does not match by network. */
  readonly prefixLength: number;
}

export interface UnmatchedPolicy {
  readonly policy: NamedPolicy;
  readonly reason: string;
  /** The expression could not be judged. */
  readonly failed: boolean;
}

export interface PolicyMatches {
  /** The first one applies, whole. */
  readonly ordered: readonly MatchedPolicy[];
  /** Of those that name the app or site. */
  readonly unmatched: readonly UnmatchedPolicy[];
}

/** Of the policies that name the app or site: those that match, in order of precedence, and why the others do not. */
export function matchPolicies(policies: readonly NamedPolicy[], subject: PolicySubject): PolicyMatches {
  const ordered: MatchedPolicy[] = [];
  const unmatched: UnmatchedPolicy[] = [];
  for (const policy of policies) {
    if (!namesSubject(policy.spec, subject)) continue;
    const found = matchPolicy(policy, subject);
    if ("reason" in found) unmatched.push(found);
    else ordered.push(found);
  }
  ordered.sort((a, b) => comparePrecedence(a, b, subject.tier).order);
  return { ordered, unmatched };
}

function namesSubject({ apps, sites }: WrittenPlacementPolicy, { app, site }: PolicySubject): boolean {
  return (app !== undefined && apps.includes(app)) || (site !== undefined && sites.includes(site));
}

function matchPolicy(policy: NamedPolicy, subject: PolicySubject): MatchedPolicy | UnmatchedPolicy {
  const { match } = policy.spec;
  if (match === undefined) return { policy, prefixLength: 0 };
  const prefixLength = match.cidrs === undefined ? 0 : findPrefixLength(match.cidrs, subject.address);
  const lists = [
    ["cidrs", prefixLength !== undefined, subject.address],
    ["asns", isOneOf(match.asns, subject.asn), subject.asn],
    ["countries", isOneOf(match.countries, subject.country), subject.country],
    ["tenants", isOneOf(match.tenants, subject.tenant), subject.tenant],
    ["tiers", isOneOf(match.tiers, subject.tier), subject.tier],
  ] as const;
  const missed = lists.find(([, isMet]) => !isMet);
  if (missed !== undefined) {
    const [field, , value] = missed;
    return {
      policy,
      failed: false,
      reason: `match.${field} ${value === undefined ? "is of something unknown" : `lacks ${value}`}`,
    };
  }
  const judged = judgeMatch(policy, subject);
  if (judged.kind === "holds") return { policy, prefixLength: prefixLength ?? 0 };
  const failed = judged.kind === "failed";
  return { policy, failed, reason: `match.expression ${failed ? `failed: ${judged.reason}` : "does not hold"}` };
}

function judgeMatch({ spec, expression }: NamedPolicy, subject: PolicySubject): Judgement {
  if (spec.match?.expression === undefined) return { kind: "holds" };
  return expression === undefined ? { kind: "failed", reason: "nothing here judges expressions" } : expression(subject);
}

function isOneOf<T>(list: readonly T[] | undefined, value: T | undefined): boolean {
  return list === undefined || (value !== undefined && list.includes(value));
}

/** Undefined where no network of the list holds the address. */
function findPrefixLength(cidrs: readonly string[], text: string | undefined): number | undefined {
  const address = text === undefined ? undefined : parseIp(text);
  if (address === undefined) return undefined;
  const holding = networksOf(cidrs).filter((network) => contains(network, address));
  return holding.length === 0 ? undefined : Math.max(...holding.map(({ prefixLength }) => prefixLength));
}

/** Of each list that was asked: a policy does not change, what follows it is another one. */
const NETWORKS = new WeakMap<readonly string[], readonly IpNetwork[]>();

export function networksOf(cidrs: readonly string[]): readonly IpNetwork[] {
  const known = NETWORKS.get(cidrs);
  if (known !== undefined) return known;
  const networks = cidrs.map(parseNetwork).flatMap((parsed) => (parsed.kind === "network" ? [parsed.network] : []));
  NETWORKS.set(cidrs, networks);
  return networks;
}

export interface Precedence {
  /** Below 0: the first of the two goes first. */
  readonly order: number;
  /** Why, of the one that goes first. */
  readonly because: string;
}

/** Priority, then how much the match says, then the longer prefix, then whether the tier's budget is set, then the name. */
export function comparePrecedence(a: MatchedPolicy, b: MatchedPolicy, tier: Tier | undefined): Precedence {
  const [left, right] = [a.policy.spec, b.policy.spec];
  const priorities = priorityOf(right) - priorityOf(left);
  if (priorities !== 0)
    return { order: priorities, because: `priority ${Math.max(priorityOf(left), priorityOf(right))}` };
  const telling = weightOf(right.match) - weightOf(left.match);
  if (telling !== 0) {
    const first = telling < 0 ? left : right;
    return { order: telling, because: `it matches by ${describeMatch(first.match)}` };
  }
  const prefixes = b.prefixLength - a.prefixLength;
  if (prefixes !== 0) return { order: prefixes, because: `its network is the longer prefix` };
  const sets = (spec: WrittenPlacementPolicy) =>
    tier !== undefined && spec.latencyBudgetMs[tier] !== undefined ? 1 : 0;
  const budgets = sets(right) - sets(left);
  if (budgets !== 0) return { order: budgets, because: `it sets the budget of ${tier}` };
  const order = a.policy.name < b.policy.name ? -1 : a.policy.name > b.policy.name ? 1 : 0;
  return { order, because: "it is first by name" };
}

export function priorityOf({ priority }: WrittenPlacementPolicy): number {
  return priority ?? 0;
}

export function weightOf(match: PolicyMatch | undefined): number {
  return matchFieldsOf(match).reduce((sum, field) => sum + WEIGHTS[field], 0);
}

function matchFieldsOf(match: PolicyMatch | undefined): readonly MatchField[] {
  return MATCH_FIELDS.filter((field) => match?.[field] !== undefined);
}

/** `cidrs, tenants`; `anybody` where it has no match. */
export function describeMatch(match: PolicyMatch | undefined): string {
  const fields = matchFieldsOf(match);
  return fields.length === 0 ? "anybody" : fields.join(", ");
}
