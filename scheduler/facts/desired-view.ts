/** What the scheduler reads out of the desired state: sites, pools, nodes, policies, its own earlier decisions, revocations. Pure. */
import type { Resources } from "#contracts/codec/set-state.ts";
import type { SiteSpec } from "#domain/content/site.ts";
import { judgeLabels, type Labels } from "#domain/placement/labels.ts";
import type { ContentPolicySpec } from "#domain/policy/content-policy.ts";
import type { NamedPolicy } from "#domain/policy/policy-match.ts";
import type { Resource } from "#domain/resource.ts";
import type { RenderAppSpec } from "#domain/session/render-app.ts";
import { compilePolicy, compilePoolExpressions } from "#platform/cel/policies.ts";

export interface DesiredView {
  readonly sites: ReadonlyMap<string, SiteSpec>;
  /** Site by host name, in lower case. */
  readonly siteByHostname: ReadonlyMap<string, string>;
  readonly apps: ReadonlyMap<string, RenderAppSpec>;
  readonly pools: ReadonlyMap<string, Resource<"NodePool">>;
  /** Without those that are revoked. */
  readonly nodes: ReadonlyMap<string, Resource<"Node">>;
  readonly placementPolicies: readonly NamedPolicy[];
  /** By pool, with what the policies' expressions make of it. */
  readonly poolLabels: ReadonlyMap<string, Labels>;
  readonly contentPolicies: readonly ContentPolicySpec[];
  /** By pool. */
  readonly assignments: ReadonlyMap<string, Resource<"Assignment">>;
  /** By pool. */
  readonly steeringTables: ReadonlyMap<string, Resource<"SteeringTable">>;
  readonly revokedTokens: ReadonlySet<string>;
  readonly revokedKeys: ReadonlySet<string>;
}

export function viewOf(resources: Resources): DesiredView {
  const placementPolicies: NamedPolicy[] = [];
  const contentPolicies: ContentPolicySpec[] = [];
  const view = {
    sites: new Map<string, SiteSpec>(),
    siteByHostname: new Map<string, string>(),
    apps: new Map<string, RenderAppSpec>(),
    pools: new Map<string, Resource<"NodePool">>(),
    nodes: new Map<string, Resource<"Node">>(),
    placementPolicies,
    contentPolicies,
    assignments: new Map<string, Resource<"Assignment">>(),
    steeringTables: new Map<string, Resource<"SteeringTable">>(),
    revokedTokens: new Set<string>(),
    revokedKeys: new Set<string>(),
  };
  const revokedNodes = new Set<string>();
  for (const resource of resources.values()) {
    const { name } = resource.metadata;
    switch (resource.kind) {
      case "Site":
        view.sites.set(name, resource.spec);
        for (const hostname of resource.spec.hostnames) view.siteByHostname.set(hostname.toLowerCase(), name);
        break;
      case "RenderApp":
        view.apps.set(name, resource.spec);
        break;
      case "NodePool":
        view.pools.set(name, resource);
        break;
      case "Node":
        view.nodes.set(name, resource);
        break;
      case "PlacementPolicy":
        placementPolicies.push(compilePolicy(name, resource.spec, resource.metadata.resourceVersion));
        break;
      case "ContentPolicy":
        contentPolicies.push(resource.spec);
        break;
      case "Assignment":
        view.assignments.set(resource.spec.pool, resource);
        break;
      case "SteeringTable":
        view.steeringTables.set(resource.spec.pool, resource);
        break;
      case "Revocation": {
        const { subject } = resource.spec;
        if (subject.kind === "token") view.revokedTokens.add(subject.id);
        else if (subject.kind === "key") view.revokedKeys.add(subject.keyId);
        // One certificate taken back leaves the node, which has another by now.
        else if (subject.certificateSerial === undefined) revokedNodes.add(subject.name);
        break;
      }
      case "Release":
      case "Purge":
      case "RolloutPolicy":
      case "Rollout":
        break;
    }
  }
  for (const name of revokedNodes) view.nodes.delete(name);
  return { ...view, poolLabels: labelsByPool(view.pools, placementPolicies) };
}

function labelsByPool(
  pools: ReadonlyMap<string, Resource<"NodePool">>,
  policies: readonly NamedPolicy[],
): ReadonlyMap<string, Labels> {
  const expressions = compilePoolExpressions(policies.map(({ spec }) => spec));
  return new Map([...pools].map(([name, pool]) => [name, judgeLabels(pool, expressions)]));
}
