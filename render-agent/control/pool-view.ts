/** What the agent reads out of its pool's set beside apps: itself, policies, revocations. Pure. */
import type { Resources } from "#contracts/codec/set-state.ts";
import type { NodeSpec } from "#domain/fleet/node.ts";
import type { RevocationSpec } from "#domain/fleet/revocation.ts";
import { longestSessionSeconds } from "#domain/placement/policy-selection.ts";
import type { Tier } from "#domain/policy/placement-policy.ts";

/** `undefined` while the set does not have the node yet. */
export function nodeSpecOf(resources: Resources, name: string): NodeSpec | undefined {
  const resource = resources.get(`Node/${name}`);
  return resource?.kind === "Node" ? resource.spec : undefined;
}

export function sessionSecondsMaxOf(resources: Resources, app: string, tier: Tier): number {
  const policies = [...resources.values()].flatMap((resource) =>
    resource.kind === "PlacementPolicy" ? [{ name: resource.metadata.name, spec: resource.spec }] : [],
  );
  return longestSessionSeconds(policies, app, tier);
}

/** A revocation of a node without a serial takes back every certificate of it. */
export function isRevoked(resources: Resources, asked: RevocationSpec["subject"]): boolean {
  for (const resource of resources.values()) {
    if (resource.kind === "Revocation" && covers(resource.spec.subject, asked)) return true;
  }
  return false;
}

function covers(revoked: RevocationSpec["subject"], asked: RevocationSpec["subject"]): boolean {
  switch (revoked.kind) {
    case "token":
      return asked.kind === "token" && asked.id === revoked.id;
    case "key":
      return asked.kind === "key" && asked.keyId === revoked.keyId;
    case "node":
      if (asked.kind !== "node" || asked.name !== revoked.name) return false;
      return revoked.certificateSerial === undefined || revoked.certificateSerial === asked.certificateSerial;
  }
}
