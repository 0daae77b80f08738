/** What is suspicious of the policies in a request, as they and the fleet would be once it is applied. */
import type { ApplyResult } from "#contracts/operator-api/operator.ts";
import type { ResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { judgeLabels } from "#domain/placement/labels.ts";
import { findContentWarnings } from "#domain/policy/content-warnings.ts";
import type { NamedPolicy } from "#domain/policy/policy-match.ts";
import { findPolicyWarnings, type JudgedPool } from "#domain/policy/policy-warnings.ts";
import { findReferenceWarnings, type KnownNames } from "#domain/policy/reference-warnings.ts";
import type { Fault } from "#domain/schema-faults.ts";
import { findLabelWarnings } from "#domain/simulation/label-warnings.ts";
import { compilePolicy, compilePoolExpressions } from "#platform/cel/policies.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { listResources } from "../log/resources.ts";

type Named<K extends ResourceInput["kind"]> = Pick<Extract<ResourceInput, { kind: K }>, "metadata" | "spec">;

export function policyWarnings(log: ResourceLog, inputs: readonly ResourceInput[]): ApplyResult["warnings"] {
  const known = knownNames(log, inputs);
  const placement = inputs.flatMap((input) => (input.kind === "PlacementPolicy" ? [input] : []));
  const content = inputs.flatMap((input) => (input.kind === "ContentPolicy" ? [input] : []));
  const isOfPolicies = placement.length + content.length > 0;
  const policiesWarnings = isOfPolicies ? besideOthers(log, inputs, { placement, content }) : () => [];
  const warningsOf = (input: ResourceInput) => [
    ...findReferenceWarnings(input, known),
    ...findLabelWarnings(input),
    ...policiesWarnings(input),
  ];
  return inputs.flatMap((input, document) => warningsOf(input).map((warning) => ({ document, ...warning })));
}

function knownNames(log: ResourceLog, inputs: readonly ResourceInput[]): KnownNames {
  const namesOf = (kind: keyof KnownNames) =>
    [...listResources(log, kind), ...inputs.filter((input) => input.kind === kind)].map(
      ({ metadata }) => metadata.name,
    );
  return { RenderApp: namesOf("RenderApp"), Site: namesOf("Site"), NodePool: namesOf("NodePool") };
}

interface WrittenPolicies {
  readonly placement: readonly Named<"PlacementPolicy">[];
  readonly content: readonly Named<"ContentPolicy">[];
}

/** What of one is suspicious beside all that there will be and over the fleet. */
function besideOthers(
  log: ResourceLog,
  inputs: readonly ResourceInput[],
  written: WrittenPolicies,
): (input: ResourceInput) => readonly Fault[] {
  const policies = afterwards<"PlacementPolicy">(listResources(log, "PlacementPolicy"), written.placement).map(
    ({ metadata, spec }) => compilePolicy(metadata.name, spec),
  );
  const contentPolicies = afterwards<"ContentPolicy">(listResources(log, "ContentPolicy"), written.content).map(
    ({ metadata, spec }) => ({ name: metadata.name, spec }),
  );
  const pools = judgedPools(log, inputs, policies);
  const edges = listResources(log, "Node").filter(({ spec }) => spec.role === "edge");
  const withEdges = new Set(edges.map(({ spec }) => spec.pool));
  return ({ kind, metadata: { name } }) => {
    const policy = policies.find((other) => kind === "PlacementPolicy" && other.name === name);
    const contentPolicy = contentPolicies.find((other) => kind === "ContentPolicy" && other.name === name);
    return [
      ...(policy === undefined ? [] : findPolicyWarnings(policy, policies, pools)),
      ...(contentPolicy === undefined ? [] : findContentWarnings(contentPolicy, contentPolicies, { pools, withEdges })),
    ];
  };
}

function judgedPools(
  log: ResourceLog,
  inputs: readonly ResourceInput[],
  policies: readonly NamedPolicy[],
): readonly JudgedPool[] {
  const written = inputs.flatMap((input) => (input.kind === "NodePool" ? [input] : []));
  const expressions = compilePoolExpressions(policies.map(({ spec }) => spec));
  return afterwards<"NodePool">(listResources(log, "NodePool"), written).map((pool) => ({
    pool: pool.metadata.name,
    labels: judgeLabels(pool, expressions),
    coordinates: pool.spec.coordinates,
  }));
}

/** What is stored and not written, with what is. */
function afterwards<K extends ResourceInput["kind"]>(
  stored: readonly Named<K>[],
  written: readonly Named<K>[],
): readonly Named<K>[] {
  const names = new Set(written.map(({ metadata }) => metadata.name));
  return [...stored.filter(({ metadata }) => !names.has(metadata.name)), ...written];
}
