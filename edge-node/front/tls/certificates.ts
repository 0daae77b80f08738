/** The certificates that are in force, each under the name of where it is from; a new one replaces it only once verified. */
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { type CertificatePair, readCertificate, type SiteCertificate } from "#platform/identity/site-certificate.ts";
import { certificateTable } from "./certificate-choice.ts";
import { TLS_SETTINGS } from "./tls-settings.ts";

/** Each holds an OpenSSL context of some tens of kilobytes. */
const CERTIFICATES_MAX = 1_000;

export interface CertificateEvents {
  certificateInForce(source: string, certificate: SiteCertificate): void;
  certificateRefused(source: string, failure: Failure): void;
  certificateRemoved(source: string): void;
  /** Negative for one that has expired. */
  certificateRemaining(source: string, seconds: number): void;
}

interface InForce extends SiteCertificate {
  readonly context: SecureContext;
}

export interface CertificatesOptions {
  readonly clock: Pick<Clock, "nowMs">;
  readonly events: CertificateEvents;
}

export class Certificates {
  readonly #options: CertificatesOptions;
  /** In the order in which their sources were first offered. */
  readonly #bySource = new Map<string, InForce>();
  #table = certificateTable<InForce>([]);
  readonly #changed = new Set<() => void>();

  constructor(options: CertificatesOptions) {
    this.#options = options;
  }

  /** The failure where the pair is refused; what was in force under `source` then stays. */
  offer(source: string, pair: CertificatePair): Failure | undefined {
    const before = this.#bySource.get(source);
    try {
      if (before === undefined && this.#bySource.size >= CERTIFICATES_MAX)
        throw new Failure("overloaded", `${source}: at most ${CERTIFICATES_MAX} certificates are served`);
      this.#take(source, this.#open(source, pair));
      return undefined;
    } catch (error) {
      if (!isFailure(error)) throw error;
      return this.refuse(source, error);
    }
  }

  /** For a pair that could not even be read: nothing changes but that it is told. */
  refuse(source: string, failure: Failure): Failure {
    this.#options.events.certificateRefused(source, failure);
    return failure;
  }

  remove(source: string): void {
    if (!this.#bySource.delete(source)) return;
    this.#rebuild();
    this.#options.events.certificateRemoved(source);
  }

  find(source: string): SiteCertificate | undefined {
    return this.#bySource.get(source);
  }

  /** Each with where it is from. */
  list(): readonly (CertificatePair & { readonly source: string })[] {
    return [...this.#bySource].map(([source, { certificatePem, keyPem }]) => ({ source, certificatePem, keyPem }));
  }

  /** `undefined` only where there is none at all. */
  contextFor(serverName: string | undefined): SecureContext | undefined {
    return this.#table.choose(serverName)?.context;
  }

  /** What a client that names no server gets. */
  get fallback(): SiteCertificate | undefined {
    return this.#table.fallback;
  }

  /** Runs `listener` after each change. */
  onChange(listener: () => void): Disposable {
    this.#changed.add(listener);
    return { [Symbol.dispose]: () => void this.#changed.delete(listener) };
  }

  /** Tells the events how long each is valid from now on. */
  tellRemaining(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const [source, { notAfterMs }] of this.#bySource)
      this.#options.events.certificateRemaining(source, (notAfterMs - nowMs) / 1000);
  }

  #open(source: string, pair: CertificatePair): InForce {
    const certificate = readCertificate(source, pair, this.#options.clock.nowMs());
    return { ...certificate, context: openContext(source, secureOptionsOf(certificate)) };
  }

  #take(source: string, certificate: InForce): void {
    const isKnown = this.#bySource.get(source)?.fingerprint === certificate.fingerprint;
    this.#bySource.set(source, certificate);
    this.#rebuild();
    if (!isKnown) this.#options.events.certificateInForce(source, certificate);
    this.tellRemaining();
  }

  #rebuild(): void {
    this.#table = certificateTable([...this.#bySource.values()]);
    for (const listener of this.#changed) listener();
  }
}

export function secureOptionsOf({ certificatePem, keyPem }: CertificatePair): SecureContextOptions {
  return { ...TLS_SETTINGS, cert: certificatePem, key: keyPem };
}

/** OpenSSL refuses what Node's parser takes, as a key that is too short. */
function openContext(source: string, options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Failure("certificate-invalid", `${source}: it cannot be served: ${reason}`, { cause });
  }
}
