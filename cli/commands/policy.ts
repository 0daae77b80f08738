/** `perigee policy match`: which policies match a client, in order, and why the first of them applies. */
import { type Command, Option } from "commander";
import { parseResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { Failure } from "#domain/failure.ts";
import { parseIp } from "#domain/ip-networks.ts";
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
import { API_VERSION } from "#domain/resource.ts";
import { compilePolicy } from "#platform/cel/policies.ts";
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
    .description("placement policies")
    .command("match")
    .description("which policies match a client, in order of precedence, and why the first applies")
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
      const answer = await apiOf(command, session).origin({ method: "GET", path: "/v1/resources/PlacementPolicy" });
      const matches = matchPolicies(itemsOf(answer).map(policyOf), subject);
      for (const line of explainMatches(matches, subject)) session.output.line(line);
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

function invalid(message: string): Failure {
  return new Failure("argument-invalid", message);
}

function policyOf(item: unknown): NamedPolicy {
  const name = textOf(fieldOf(item, "metadata", "name"));
  const metadata = { name };
  const parsed = parseResourceInput({
    apiVersion: API_VERSION,
    kind: "PlacementPolicy",
    metadata,
    spec: fieldOf(item, "spec"),
  });
  if (parsed.kind === "valid" && parsed.input.kind === "PlacementPolicy") return compilePolicy(name, parsed.input.spec);
  throw new Failure("upstream-malformed", `policy ${name} is of another version than this command`);
}

function explainMatches({ ordered, unmatched }: PolicyMatches, { tier }: PolicySubject): readonly string[] {
  const lines: string[] = [];
  const [first, second] = ordered;
  if (first === undefined) lines.push("no policy matches: the defaults apply");
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
