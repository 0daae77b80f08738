/** What is suspicious of the policies in a request, as they and the fleet would be once it is applied. */
import type { ApplyResult } from "#contracts/operator-api/operator.ts";
import type { ResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { judgeLabels } from "#domain/placement/labels.ts";
import { findPolicyWarnings } from "#domain/policy/policy-warnings.ts";
import { compilePolicy, compilePoolExpressions } from "#platform/cel/policies.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { listResources } from "../log/resources.ts";

type Named<K extends ResourceInput["kind"]> = Pick<Extract<ResourceInput, { kind: K }>, "metadata" | "spec">;

export function policyWarnings(log: ResourceLog, inputs: readonly ResourceInput[]): ApplyResult["warnings"] {
  const written = inputs.flatMap((input) => (input.kind === "PlacementPolicy" ? [input] : []));
  if (written.length === 0) return [];
  const writtenPools = inputs.flatMap((input) => (input.kind === "NodePool" ? [input] : []));
  const policies = afterwards<"PlacementPolicy">(listResources(log, "PlacementPolicy"), written).map(
    ({ metadata, spec }) => compilePolicy(metadata.name, spec),
  );
  const expressions = compilePoolExpressions(policies.map(({ spec }) => spec));
  const pools = afterwards<"NodePool">(listResources(log, "NodePool"), writtenPools).map((pool) => ({
    pool: pool.metadata.name,
    labels: judgeLabels(pool, expressions),
    coordinates: pool.spec.coordinates,
  }));
  return inputs.flatMap((input, document) => {
    const policy = policies.find(({ name }) => input.kind === "PlacementPolicy" && name === input.metadata.name);
    if (policy === undefined) return [];
    return findPolicyWarnings(policy, policies, pools).map((warning) => ({ document, ...warning }));
  });
}

/** What is stored and not written, with what is. */
function afterwards<K extends ResourceInput["kind"]>(
  stored: readonly Named<K>[],
  written: readonly Named<K>[],
): readonly Named<K>[] {
  const names = new Set(written.map(({ metadata }) => metadata.name));
  return [...stored.filter(({ metadata }) => !names.has(metadata.name)), ...written];
}
