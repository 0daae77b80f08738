/** The gates of a node's sites: made and replaced as the set says; one that is as it was keeps what it has counted. */
import { isDeepStrictEqual } from "node:util";
import type { SiteSpec } from "#domain/content/site.ts";
import { AccessGate, type AccessGateOptions, rulesOf } from "./access-gate.ts";

type GateParts = Pick<AccessGateOptions, "clock" | "events" | "proxies">;

interface Standing {
  readonly spec: Pick<SiteSpec, "signedUrls" | "rateLimit">;
  readonly gate: AccessGate;
}

export class SiteGates {
  readonly #parts: GateParts;
  readonly #standing = new Map<string, Standing>();

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  /** Of a site of the set. */
  get(site: { readonly name: string; readonly spec: SiteSpec }): AccessGate {
    const known = this.#standing.get(site.name);
    const { signedUrls, rateLimit } = site.spec;
    if (known !== undefined && known.spec.signedUrls === signedUrls && known.spec.rateLimit === rateLimit) {
      return known.gate;
    }
    return this.#stand(site.name, site.spec, known);
  }

  /** Those of sites that are gone are forgotten. */
  update(sites: ReadonlyMap<string, unknown>): void {
    for (const name of [...this.#standing.keys()]) if (!sites.has(name)) this.#standing.delete(name);
  }

  #stand(site: string, spec: SiteSpec, known: Standing | undefined): AccessGate {
    const isSame = isDeepStrictEqual(
      [known?.spec.signedUrls, known?.spec.rateLimit],
      [spec.signedUrls, spec.rateLimit],
    );
    const gate =
      known !== undefined && isSame ? known.gate : new AccessGate({ ...this.#parts, ...rulesOf(site, spec) });
    this.#standing.set(site, { spec, gate });
    return gate;
  }
}
