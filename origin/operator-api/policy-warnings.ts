/** What is suspicious of the policies in a request, as they and the fleet would be once it is applied. */
import type { ApplyResult } from "#contracts/operator-api/operator.ts";
import type { ResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { judgeLabels } from "#domain/placement/labels.ts";
import { findContentWarnings } from "#domain/policy/content-warnings.ts";
import type { NamedPolicy } from "#domain/policy/policy-match.ts";
import { findPolicyWarnings, type JudgedPool } from "#domain/policy/policy-warnings.ts";
import { compilePolicy, compilePoolExpressions } from "#platform/cel/policies.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { listResources } from "../log/resources.ts";

type Named<K extends ResourceInput["kind"]> = Pick<Extract<ResourceInput, { kind: K }>, "metadata" | "spec">;

export function policyWarnings(log: ResourceLog, inputs: readonly ResourceInput[]): ApplyResult["warnings"] {
  const placement = inputs.flatMap((input) => (input.kind === "PlacementPolicy" ? [input] : []));
  const content = inputs.flatMap((input) => (input.kind === "ContentPolicy" ? [input] : []));
  if (placement.length + content.length === 0) return [];
  const policies = afterwards<"PlacementPolicy">(listResources(log, "PlacementPolicy"), placement).map(
    ({ metadata, spec }) => compilePolicy(metadata.name, spec),
  );
  const contentPolicies = afterwards<"ContentPolicy">(listResources(log, "ContentPolicy"), content).map(
    ({ metadata, spec }) => ({ name: metadata.name, spec }),
  );
  const pools = judgedPools(log, inputs, policies);
  const warningsOf = ({ kind, metadata: { name } }: ResourceInput) => {
    const policy = policies.find((other) => kind === "PlacementPolicy" && other.name === name);
    const contentPolicy = contentPolicies.find((other) => kind === "ContentPolicy" && other.name === name);
    return [
      ...(policy === undefined ? [] : findPolicyWarnings(policy, policies, pools)),
      ...(contentPolicy === undefined ? [] : findContentWarnings(contentPolicy, contentPolicies, pools)),
    ];
  };
  return inputs.flatMap((input, document) => warningsOf(input).map((warning) => ({ document, ...warning })));
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
