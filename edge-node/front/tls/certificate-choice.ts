/** Which certificate a connection gets, by the server name that its client asks for (RFC 6066 section 3). Pure. */

export interface CertificateTable<C> {
  /** The exact name first, then a wildcard for its first label, then the default. */
  choose(serverName: string | undefined): C | undefined;
  readonly fallback: C | undefined;
}

/** Of two certificates for one name the one that is valid for longer; the default is the first of all. */
export function certificateTable<C extends { readonly names: readonly string[]; readonly notAfterMs: number }>(
  certificates: readonly C[],
): CertificateTable<C> {
  const byName = new Map<string, C>();
  for (const certificate of certificates) {
    for (const name of certificate.names) {
      const other = byName.get(name);
      if (other === undefined || other.notAfterMs < certificate.notAfterMs) byName.set(name, certificate);
    }
  }
  const [fallback] = certificates;
  return {
    fallback,
    choose(serverName) {
      if (serverName === undefined) return fallback;
      const name = serverName.toLowerCase().replace(/\.$/, "");
      return byName.get(name) ?? byName.get(name.replace(/^[^.]+/, "*")) ?? fallback;
    },
  };
}
