/** The envelope of every resource (Kubernetes object conventions) and the union of all kinds. Pure. */
import type { PurgeSpec } from "./content/purge.ts";
import type { ReleaseSpec } from "./content/release.ts";
import type { SiteSpec } from "./content/site.ts";
import type { AcmeChallengeSpec, SiteCertificateSpec } from "./content/site-certificate.ts";
import type { NodeSpec } from "./fleet/node.ts";
import type { NodePoolSpec } from "./fleet/node-pool.ts";
import type { OriginEndpointSpec } from "./fleet/origin-endpoint.ts";
import type { RevocationSpec } from "./fleet/revocation.ts";
import type { RolloutPolicySpec, RolloutSpec } from "./fleet/rollout.ts";
import type { TombstoneSpec } from "./fleet/tombstone.ts";
import type { AssignmentSpec } from "./placement/assignment.ts";
import type { Labels } from "./placement/labels.ts";
import type { SteeringTableSpec } from "./placement/steering-table.ts";
import type { ContentPolicySpec } from "./policy/content-policy.ts";
import type { WrittenPlacementPolicy } from "./policy/placement-policy.ts";
import type { RenderAppSpec } from "./session/render-app.ts";

export const API_VERSION = "perigee.dev/v1";

/** What each kind says; the single list of kinds. */
export interface SpecByKind {
  readonly Site: SiteSpec;
  readonly Release: ReleaseSpec;
  readonly NodePool: NodePoolSpec;
  readonly Node: NodeSpec;
  readonly PlacementPolicy: WrittenPlacementPolicy;
  readonly ContentPolicy: ContentPolicySpec;
  readonly RenderApp: RenderAppSpec;
  readonly Assignment: AssignmentSpec;
  readonly SteeringTable: SteeringTableSpec;
  readonly Purge: PurgeSpec;
  readonly Revocation: RevocationSpec;
  readonly SiteCertificate: SiteCertificateSpec;
  readonly AcmeChallenge: AcmeChallengeSpec;
  readonly Tombstone: TombstoneSpec;
  readonly OriginEndpoint: OriginEndpointSpec;
  readonly RolloutPolicy: RolloutPolicySpec;
  readonly Rollout: RolloutSpec;
}

export type Kind = keyof SpecByKind;

export interface Metadata {
  readonly name: string;
  readonly labels: Labels;
  /** Grows by one with each change of `spec`; set by the origin. */
  readonly generation: number;
  /** The log revision of the last change; what compare-and-swap compares. */
  readonly resourceVersion: number;
  /** Epoch milliseconds, the origin's clock. */
  readonly createdAtMs: number;
}

export interface Resource<K extends Kind = Kind> {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: K;
  readonly metadata: Metadata;
  readonly spec: SpecByKind[K];
}

/** A resource of any kind, whose `kind` tells its `spec`. */
export type AnyResource = { readonly [K in Kind]: Resource<K> }[Kind];

/** Who may write a kind: one writer each, so there is nothing to merge. */
export type Writer = "operator" | "origin" | "enrolment" | "scheduler";

export const WRITER_BY_KIND: Readonly<Record<Kind, Writer>> = {
  Site: "operator",
  Release: "origin",
  NodePool: "operator",
  Node: "enrolment",
  PlacementPolicy: "operator",
  ContentPolicy: "operator",
  RenderApp: "operator",
  Assignment: "scheduler",
  SteeringTable: "scheduler",
  Purge: "operator",
  Revocation: "operator",
  SiteCertificate: "origin",
  AcmeChallenge: "origin",
  Tombstone: "operator",
  OriginEndpoint: "operator",
  RolloutPolicy: "operator",
  Rollout: "origin",
};

export const KINDS: readonly Kind[] = [
  "Site",
  "Release",
  "NodePool",
  "Node",
  "PlacementPolicy",
  "ContentPolicy",
  "RenderApp",
  "Assignment",
  "SteeringTable",
  "Purge",
  "Revocation",
  "SiteCertificate",
  "AcmeChallenge",
  "Tombstone",
  "OriginEndpoint",
  "RolloutPolicy",
  "Rollout",
];

export function isKind(text: string): text is Kind {
  return Object.hasOwn(WRITER_BY_KIND, text);
}

/**
 * Whether the set distributed to a pool holds this resource; the kinds bound to one pool go to that pool only, and the
 * edges of its parent pool to it too, which asks them for content. How things roll out is no node's business.
 */
export function belongsToPool(resource: AnyResource, pool: string, parent?: string): boolean {
  switch (resource.kind) {
    case "Node":
      return resource.spec.pool === pool || (resource.spec.pool === parent && resource.spec.role === "edge");
    case "Assignment":
    case "SteeringTable":
    case "SiteCertificate":
      return resource.spec.pool === pool;
    case "RolloutPolicy":
    case "Rollout":
      return false;
    default:
      return true;
  }
}
