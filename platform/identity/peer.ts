/** Who a certificate speaks for: its URI and DNS names, and back. Pure. */
import { isName } from "#domain/ids.ts";

export const ROLES = ["origin", "scheduler", "edge", "agent"] as const;
export type Role = (typeof ROLES)[number];

export interface PeerIdentity {
  readonly role: Role;
  /** `-` where the role belongs to no pool. */
  readonly pool: string;
  readonly name: string;
}

/** A peer on a connection, by the certificate that it showed there. */
export interface ConnectedPeer extends PeerIdentity {
  /** Of the certificate, as `serialOf` writes it. */
  readonly serial: string;
}

/** What Node's TLS gives of a peer's certificate. */
export interface PeerCertificate {
  readonly subjectaltname?: string | undefined;
  readonly serialNumber?: string | undefined;
}

/** Lower-case hexadecimal: as operators write it in a `Revocation`. */
export function serialOf({ serialNumber = "" }: Pick<PeerCertificate, "serialNumber">): string {
  return serialNumber.toLowerCase();
}

/** `undefined` where there is no certificate, or it names no identity. The caller has verified it. */
export function parsePeer(certificate: PeerCertificate | undefined): ConnectedPeer | undefined {
  const identity = parseIdentity(certificate?.subjectaltname);
  if (identity === undefined || certificate === undefined) return undefined;
  return { ...identity, serial: serialOf(certificate) };
}

/** The URI subject alternative name: the identity itself. */
export function identityUri({ role, pool, name }: PeerIdentity): string {
  return `perigee://${role}/${pool}/${name}`;
}

/** The DNS subject alternative name: what a TLS client asks for. */
export function serverNameOf({ role, name }: Pick<PeerIdentity, "role" | "name">): string {
  return `${name}.${role}.perigee.internal`;
}

/** From the text that Node gives of a certificate's alternative names; `undefined` where none is an identity, or more than one. */
export function parseIdentity(subjectAltName: string | undefined): PeerIdentity | undefined {
  const uris = (subjectAltName ?? "").split(", ").filter((entry) => entry.startsWith("URI:perigee://"));
  const [role, pool, name, ...rest] = (uris[0] ?? "").slice("URI:perigee://".length).split("/");
  const known = ROLES.find((candidate) => candidate === role);
  if (uris.length !== 1 || known === undefined || rest.length > 0) return undefined;
  if (pool === undefined || name === undefined || !isName(name) || !(pool === "-" || isName(pool))) return undefined;
  return { role: known, pool, name };
}
