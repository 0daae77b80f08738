/** Whether the node a certificate names is still a member: enrolled, in that role and pool, not revoked. */
import { Failure } from "#domain/failure.ts";
import type { PeerIdentity, Role } from "#platform/identity/peer.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { findResource, listResources } from "../log/resources.ts";

/** Throws `certificate-untrusted` for another role, `permission-denied` for a node that is no member. */
export function checkMember(log: ResourceLog, peer: PeerIdentity | undefined, roles: readonly Role[]): PeerIdentity {
  if (peer === undefined || !roles.includes(peer.role)) {
    const got = peer === undefined ? "none" : peer.role;
    throw new Failure("certificate-untrusted", `a certificate of role ${roles.join(" or ")} is needed, got ${got}`);
  }
  const spec = findResource(log, "Node", peer.name)?.spec;
  if (spec === undefined || spec.role !== peer.role || spec.pool !== peer.pool) {
    throw new Failure("permission-denied", `node ${peer.name} is not enrolled as ${peer.role} of pool ${peer.pool}`);
  }
  const isRevoked = listResources(log, "Revocation").some(
    ({ spec: { subject } }) =>
      subject.kind === "node" && subject.name === peer.name && subject.certificateSerial === undefined,
  );
  if (isRevoked) throw new Failure("permission-denied", `node ${peer.name} was revoked`);
  return peer;
}
