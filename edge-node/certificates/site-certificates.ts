/**
 * The certificates that the origin hands out: opened with this node's key, verified like any other, and in force. One
 * gives way to its successor only once that is opened, also over a restart, and goes only with what wants it.
 */
import type { Resources } from "#contracts/codec/set-state.ts";
import { type SiteCertificateSpec, sealingContext } from "#domain/content/site-certificate.ts";
import { isFailure } from "#domain/failure.ts";
import { type SealingKey, unseal } from "#platform/identity/sealing.ts";
import { resourcesOf } from "../desired-state/desired-view.ts";
import type { Certificates } from "../front/tls/certificates.ts";
import type { LastCertificates, OwnCertificate } from "./last-certificates.ts";

export interface SiteCertificatesOptions {
  readonly node: string;
  readonly sealingKey: SealingKey;
  readonly certificates: Certificates;
  readonly last: LastCertificates;
  readonly onStorageFailed: (error: unknown) => void;
}

export class SiteCertificates {
  readonly #options: SiteCertificatesOptions;
  /** What was last taken or refused, by host name: the set is applied more often than certificates change. */
  readonly #seen = new Map<string, string>();
  /** Of the last ones: one that does not open, as when it has expired, is told once. */
  readonly #triedLast = new Map<string, string>();

  constructor(options: SiteCertificatesOptions) {
    this.#options = options;
  }

  /** After each change of the set. `isWhole` false gives up nothing: a damaged set says nothing of what is gone. */
  apply(resources: Resources, isWhole: boolean): void {
    const there = new Set<string>();
    for (const { spec } of resourcesOf(resources, "SiteCertificate")) {
      there.add(spec.hostname);
      this.#take(spec);
    }
    const wanted = hostnamesIn(resources);
    for (const hostname of new Set([...this.#seen.keys(), ...this.#options.last.hostnames()])) {
      if (there.has(hostname) || wanted.has(hostname) || !isWhole) this.#serveLast(hostname);
      else this.#drop(hostname);
    }
  }

  #take(spec: SiteCertificateSpec): void {
    const { hostname, certificatePem } = spec;
    const own = spec.keys.find((key) => key.node === this.#options.node);
    if (own === undefined || this.#seen.get(hostname) === own.sealed) return;
    this.#seen.set(hostname, own.sealed);
    const certificate = { hostname, certificatePem, sealed: own.sealed };
    if (this.#open(certificate)) this.#inStorage(() => this.#options.last.keep(certificate));
  }

  /** What the set has for the name now could not be opened, or it has nothing for it. */
  #serveLast(hostname: string): void {
    const { certificates, last } = this.#options;
    const kept = last.find(hostname);
    if (kept === undefined || certificates.find(sourceOf(hostname)) !== undefined) return;
    if (this.#triedLast.get(hostname) === kept.sealed) return;
    this.#triedLast.set(hostname, kept.sealed);
    this.#open(kept);
  }

  #drop(hostname: string): void {
    this.#seen.delete(hostname);
    this.#triedLast.delete(hostname);
    this.#options.certificates.remove(sourceOf(hostname));
    this.#inStorage(() => this.#options.last.forget(hostname));
  }

  /** False where it is refused; what was in force for the name then stays. */
  #open({ hostname, certificatePem, sealed }: OwnCertificate): boolean {
    const { sealingKey, certificates } = this.#options;
    const source = sourceOf(hostname);
    try {
      const context = sealingContext({ hostname, certificatePem });
      const keyPem = Buffer.from(unseal(sealingKey, context, Buffer.from(sealed, "base64"))).toString();
      return certificates.offer(source, { certificatePem, keyPem }) === undefined;
    } catch (error) {
      if (!isFailure(error)) throw error;
      certificates.refuse(source, error);
      return false;
    }
  }

  #inStorage(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#options.onStorageFailed(error);
    }
  }
}

/** Of sites that want certificates from the origin. */
function hostnamesIn(resources: Resources): ReadonlySet<string> {
  const sites = [...resourcesOf(resources, "Site")].filter(({ spec }) => spec.acme === true);
  return new Set(sites.flatMap(({ spec }) => spec.hostnames));
}

function sourceOf(hostname: string): string {
  return `site:${hostname}`;
}
