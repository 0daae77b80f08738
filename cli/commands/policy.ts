/** `perigee policy match`: which policies match a client, in order, and why the first applies; what a site's content policies come to. */
import { type Command, Option } from "commander";
import { parseResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { Failure } from "#domain/failure.ts";
import { parseIp } from "#domain/ip-networks.ts";
import { suggestionOf } from "#domain/nearest-names.ts";
import { type ExplainedContent, explainContent } from "#domain/policy/content-explained.ts";
import type { NamedContentPolicy } from "#domain/policy/content-policy.ts";
import { TIERS, type Tier } from "#domain/policy/placement-policy.ts";
import {
  comparePrecedence,
  describeMatch,
  matchPolicies,
  type NamedPolicy,
  type PolicyMatches,
  type PolicySubject,
  priorityOf,
} from "#domain/policy/policy-match.ts";
import { API_VERSION, type Kind } from "#domain/resource.ts";
import { compilePolicy } from "#platform/cel/policies.ts";
import { systemClock } from "#platform/clock.ts";
import { fieldOf, itemsOf, renderTable, textOf } from "../output.ts";
import { apiOf, type CommandSession } from "./session.ts";

interface MatchOptions {
  readonly app?: string;
  readonly site?: string;
  readonly tier?: Tier;
  readonly tenant?: string;
  readonly country?: string;
  readonly asn?: string;
  readonly address?: string;
}

export function addPolicy(program: Command, session: CommandSession): void {
  program
    .command("policy")
    .description("placement and content policies")
    .command("match")
    .description(
      "which policies match a client, in order of precedence, and why the first applies; of a site also what its content policies come to",
    )
    .option("--app <name>", "sessions of a RenderApp")
    .option("--site <name>", "content of a Site")
    .addOption(new Option("--tier <tier>", "of the session").choices([...TIERS]))
    .option("--tenant <name>", "of the app token")
    .option("--country <code>", "two letters, as DE")
    .option("--asn <number>")
    .option("--address <address>", "for policies that match by network")
    .addHelpText(
      "after",
      "\nExample:\n  perigee policy match --app hall --tier strict --country DE --address 192.0.2.7",
    )
    .action(async (options: MatchOptions, command: Command) => {
      const subject = subjectOf(options);
      const list = async (kind: Kind) =>
        itemsOf(await apiOf(command, session).origin({ method: "GET", path: `/v1/resources/${kind}` }));
      await checkNamed(subject, list);
      const matches = matchPolicies((await list("PlacementPolicy")).map(policyOf), subject);
      for (const line of explainMatches(matches, subject)) session.output.line(line);
      if (subject.site === undefined) return;
      const content = explainContent(
        (await list("ContentPolicy")).map(contentPolicyOf),
        subject.site,
        systemClock.nowMs(),
      );
      for (const line of linesOf(content, subject.site)) session.output.line(line);
    });
}

function subjectOf({ asn, ...options }: MatchOptions): PolicySubject {
  const { app, site, tier, country, address } = options;
  if ((app === undefined) === (site === undefined)) throw invalid("give --app or --site, and one of them");
  if (country !== undefined && !/^[A-Z]{2}$/.test(country)) throw invalid(`--country must be as DE, got ${country}`);
  if (address !== undefined && parseIp(address) === undefined) throw invalid(`--address is no address: ${address}`);
  if (asn !== undefined && !/^[1-9]\d{0,9}$/.test(asn)) throw invalid(`--asn must be a number, got ${asn}`);
  const sessionTier = app === undefined ? {} : { tier: tier ?? "standard" };
  return { ...options, ...sessionTier, ...(asn === undefined ? {} : { asn: Number(asn) }) };
}

/** Throws `not-found`. */
async function checkNamed(
  { app, site }: PolicySubject,
  list: (kind: Kind) => Promise<readonly unknown[]>,
): Promise<void> {
  const [kind, name] = app === undefined ? (["Site", site ?? ""] as const) : (["RenderApp", app] as const);
  const names = (await list(kind)).map((item) => textOf(fieldOf(item, "metadata", "name")));
  if (names.includes(name)) return;
  const meant = suggestionOf(name, names);
  const lists = meant === "" ? `: perigee get ${kind.toLowerCase()}s lists them` : meant;
  throw new Failure("not-found", `there is no ${kind} ${name}${lists}`);
}

function invalid(message: string): Failure {
  return new Failure("argument-invalid", message);
}

function policyOf(item: unknown): NamedPolicy {
  const { name, input } = inputOf("PlacementPolicy", item);
  if (input?.kind === "PlacementPolicy") return compilePolicy(name, input.spec);
  throw otherVersion(name);
}

function contentPolicyOf(item: unknown): NamedContentPolicy {
  const { name, input } = inputOf("ContentPolicy", item);
  if (input?.kind === "ContentPolicy") return { name, spec: input.spec };
  throw otherVersion(name);
}

function inputOf(kind: Kind, item: unknown) {
  const name = textOf(fieldOf(item, "metadata", "name"));
  const document = { apiVersion: API_VERSION, kind, metadata: { name }, spec: fieldOf(item, "spec") };
  const parsed = parseResourceInput(document);
  return { name, input: parsed.kind === "valid" ? parsed.input : undefined };
}

function otherVersion(name: string): Failure {
  return new Failure("upstream-malformed", `policy ${name} is of another version than this command`);
}

/** Of each field the strictest word of all policies counts. */
function linesOf({ policies, fields, prefetchNow }: ExplainedContent, site: string): readonly string[] {
  if (policies.length === 0) return [`no content policy names ${site}: every pool holds it, at any time`];
  const rows = fields.map(({ field, value, saidBy }) => [field, value, saidBy.join(",")]);
  return [
    `content of ${site}, by ${policies.join(", ")}: of each field the strictest`,
    renderTable(["FIELD", "VALUE", "SAID BY"], rows),
    `copies that nobody has asked for begin: ${prefetchNow}`,
  ];
}

function explainMatches({ ordered, unmatched }: PolicyMatches, { tier }: PolicySubject): readonly string[] {
  const lines: string[] = [];
  const [first, second] = ordered;
  if (first === undefined) lines.push("no placement policy matches: the defaults apply");
  else if (second === undefined) lines.push(`${first.policy.name} applies: no other matches`);
  else {
    const { because } = comparePrecedence(first, second, tier);
    lines.push(`${first.policy.name} applies, whole, before ${second.policy.name}: ${because}`);
  }
  const rows = ordered.map(({ policy: { name, spec } }, index) => [
    String(index + 1),
    name,
    String(priorityOf(spec)),
    describeMatch(spec.match),
  ]);
  if (rows.length > 0) lines.push(renderTable(["ORDER", "POLICY", "PRIORITY", "MATCHES BY"], rows));
  return [...lines, ...unmatched.map(({ policy, reason }) => `${policy.name} does not match: ${reason}`)];
}
