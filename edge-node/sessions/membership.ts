/** Whether the node that a certificate names belongs to this pool, by the set that the edge holds. Pure. */
import type { Resources } from "#contracts/codec/set-state.ts";
import { Failure } from "#domain/failure.ts";
import type { NodeSpec } from "#domain/fleet/node.ts";
import type { RevocationSpec } from "#domain/fleet/revocation.ts";
import type { ConnectedPeer, Role } from "#platform/identity/peer.ts";

export interface PoolMembership {
  readonly pool: string;
  readonly resources: Resources;
  readonly isRevoked: (subject: RevocationSpec["subject"]) => boolean;
}

/**
 * Throws `certificate-untrusted` for another role or pool and `permission-denied` for a node that was revoked, or that
 * the set does not have: retryable, since the set may be behind a node that has just joined.
 */
export function checkMember(
  { pool, resources, isRevoked }: PoolMembership,
  peer: ConnectedPeer | undefined,
  roles: readonly Role[],
): ConnectedPeer {
  if (peer === undefined || !roles.includes(peer.role) || peer.pool !== pool) {
    const got = peer === undefined ? "none" : `${peer.role} of ${peer.pool}`;
    throw new Failure(
      "certificate-untrusted",
      `a certificate as ${roles.join(" or ")} of ${pool} is needed, got ${got}`,
    );
  }
  const spec = nodeSpecOf(resources, peer.name);
  if (spec?.role !== peer.role) {
    const message = `node ${peer.name} is not enrolled as ${peer.role} of pool ${pool}, as far as is known here`;
    throw new Failure("permission-denied", message, { retryable: true });
  }
  if (isRevoked({ kind: "node", name: peer.name, certificateSerial: peer.serial })) {
    throw new Failure("permission-denied", `node ${peer.name}, certificate ${peer.serial}, was revoked`);
  }
  return peer;
}

/** Undefined where the pool's set has no such node. */
export function nodeSpecOf(resources: Resources, name: string): NodeSpec | undefined {
  const resource = resources.get(`Node/${name}`);
  return resource?.kind === "Node" ? resource.spec : undefined;
}
