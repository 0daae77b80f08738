/** The certificates that the origin hands out: opened with this node's key, verified like any other, and in force. */
import type { Resources } from "#contracts/codec/set-state.ts";
import { type SiteCertificateSpec, sealingContext } from "#domain/content/site-certificate.ts";
import { isFailure } from "#domain/failure.ts";
import { type SealingKey, unseal } from "#platform/identity/sealing.ts";
import { resourcesOf } from "../desired-state/desired-view.ts";
import type { Certificates } from "../front/tls/certificates.ts";

export interface SiteCertificatesOptions {
  readonly node: string;
  readonly sealingKey: SealingKey;
  readonly certificates: Certificates;
}

export class SiteCertificates {
  readonly #options: SiteCertificatesOptions;
  /** What was last taken or refused, by source: the set is applied more often than certificates change. */
  readonly #seen = new Map<string, string>();

  constructor(options: SiteCertificatesOptions) {
    this.#options = options;
  }

  /** After each change of the set. One that is gone from it is no longer served. */
  apply(resources: Resources): void {
    const there = new Set<string>();
    for (const { spec } of resourcesOf(resources, "SiteCertificate")) {
      there.add(sourceOf(spec));
      this.#take(spec);
    }
    for (const source of [...this.#seen.keys()].filter((known) => !there.has(known))) {
      this.#seen.delete(source);
      this.#options.certificates.remove(source);
    }
  }

  #take(spec: SiteCertificateSpec): void {
    const { node, sealingKey, certificates } = this.#options;
    const own = spec.keys.find((key) => key.node === node);
    const source = sourceOf(spec);
    if (own === undefined || this.#seen.get(source) === own.sealed) return;
    this.#seen.set(source, own.sealed);
    const { certificatePem } = spec;
    try {
      const keyPem = unseal(sealingKey, sealingContext(spec), Buffer.from(own.sealed, "base64"));
      certificates.offer(source, { certificatePem, keyPem: Buffer.from(keyPem).toString() });
    } catch (error) {
      if (!isFailure(error)) throw error;
      certificates.refuse(source, error);
    }
  }
}

function sourceOf({ hostname }: SiteCertificateSpec): string {
  return `site:${hostname}`;
}
