/** Hands a server its certificates, and new ones while it runs: connections made after a change use them. */
import { experimental, type ServerCredentials } from "@grpc/grpc-js";

export interface CertificatePair {
  readonly keyPem: string;
  readonly chainPem: string;
}

type IdentityListener = experimental.IdentityCertificateUpdateListener;

export class CertificateSource implements experimental.CertificateProvider {
  readonly #listeners = new Set<IdentityListener>();
  readonly #authorityListeners = new Set<experimental.CaCertificateUpdateListener>();
  #authorities: Buffer;
  #pair: CertificatePair;

  constructor(pair: CertificatePair, authoritiesPem: string) {
    this.#pair = pair;
    this.#authorities = Buffer.from(authoritiesPem);
  }

  /** A client without a trusted certificate gets through to its call, which the server refuses by name and counts. */
  credentials(clientCertificate: "required" | "none"): ServerCredentials {
    const authorities = clientCertificate === "required" ? this : null;
    return experimental.createCertificateProviderServerCredentials(this, authorities, false);
  }

  replace(pair: CertificatePair, authoritiesPem: string): void {
    this.#pair = pair;
    this.#authorities = Buffer.from(authoritiesPem);
    for (const listener of this.#authorityListeners) listener({ caCertificate: this.#authorities });
    for (const listener of this.#listeners) this.#tell(listener);
  }

  addCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.#authorityListeners.add(listener);
    listener({ caCertificate: this.#authorities });
  }

  removeCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.#authorityListeners.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#listeners.add(listener);
    // Not at once: grpc-js registers the server's own watcher only after this call, and would miss the first pair.
    queueMicrotask(() => this.#tell(listener));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#listeners.delete(listener);
  }

  #tell(listener: IdentityListener): void {
    listener({ certificate: Buffer.from(this.#pair.chainPem), privateKey: Buffer.from(this.#pair.keyPem) });
  }
}
