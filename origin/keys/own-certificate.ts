/** The origin's own TLS certificate: issued at each start and again long before it runs out, while the origin runs. */
import { assert } from "#domain/assert.ts";
import type { Clock } from "#platform/clock.ts";
import {
  createCertificateRequest,
  issueCertificate,
  NODE_CERTIFICATE_LIFETIME_MS,
} from "#platform/identity/authority.ts";
import { formatPemChain, parsePemChain } from "#platform/identity/certificates.ts";
import { exportPrivateKey, generateSigningKey } from "#platform/identity/signatures.ts";
import type { Random } from "#platform/random.ts";
import type { Authorities } from "./authorities.ts";

/** The name in the certificate: `origin.origin.perigee.internal`. */
const ORIGIN_NAME = "origin";
const RENEW_LIFE_RATIO = 0.7;
const LOOK_MS = 3_600_000;

export interface OwnTls {
  readonly keyPem: string;
  /** With the root at its end: who joins by pin finds it there. */
  readonly chainPem: string;
  readonly authoritiesPem: string;
}

export interface OwnCertificate extends Disposable {
  /** The newest. */
  readonly tls: OwnTls;
  readonly expiresAtMs: number;
  onRenewed(listener: (tls: OwnTls) => void): void;
}

export async function openOwnCertificate(
  authorities: Authorities,
  tools: { readonly clock: Clock; readonly random: Random },
): Promise<OwnCertificate> {
  const { clock } = tools;
  const listeners: ((tls: OwnTls) => void)[] = [];
  await authorities.retireDue();
  let tls = await issueOwn(authorities, tools);
  let issuedAtMs = clock.nowMs();
  const renew = async (): Promise<void> => {
    tls = await issueOwn(authorities, tools);
    issuedAtMs = clock.nowMs();
    for (const listener of listeners) listener(tls);
  };
  authorities.onChange(renew);
  const turn = async (): Promise<void> => {
    if (await authorities.retireDue()) return;
    if (clock.nowMs() - issuedAtMs >= NODE_CERTIFICATE_LIFETIME_MS * RENEW_LIFE_RATIO) await renew();
  };
  const looking = clock.every(LOOK_MS, turn);
  return {
    get tls() {
      return tls;
    },
    get expiresAtMs() {
      const [leaf] = parsePemChain(tls.chainPem);
      assert(leaf !== undefined, "the own chain has a leaf");
      return leaf.validToDate.getTime();
    },
    onRenewed: (listener) => void listeners.push(listener),
    [Symbol.dispose]: () => looking[Symbol.dispose](),
  };
}

async function issueOwn(authorities: Authorities, tools: { clock: Clock; random: Random }): Promise<OwnTls> {
  const key = generateSigningKey();
  const certificate = await issueCertificate(
    authorities.issuing,
    await createCertificateRequest(key),
    { role: "origin", pool: "-", name: ORIGIN_NAME },
    { ...tools, lifetimeMs: NODE_CERTIFICATE_LIFETIME_MS },
  );
  const chain = [certificate, ...authorities.intermediates, authorities.root];
  return {
    keyPem: exportPrivateKey(key),
    chainPem: formatPemChain(chain),
    authoritiesPem: formatPemChain(authorities.trusted),
  };
}
