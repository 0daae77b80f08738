/** The origin's own TLS certificate: issued at each start and again long before it runs out, while the origin runs. */
import { assert } from "#domain/assert.ts";
import type { Clock } from "#platform/clock.ts";
import {
  type Authority,
  createCertificateRequest,
  issueCertificate,
  NODE_CERTIFICATE_LIFETIME_MS,
} from "#platform/identity/authority.ts";
import { formatPemChain, parsePemChain } from "#platform/identity/certificates.ts";
import { exportPrivateKey, generateSigningKey } from "#platform/identity/signatures.ts";
import type { Random } from "#platform/random.ts";

/** The name in the certificate: `origin.origin.perigee.internal`. */
const ORIGIN_NAME = "origin";
const RENEW_LIFE_RATIO = 0.7;
const LOOK_MS = 3_600_000;

export interface OwnTls {
  readonly keyPem: string;
  /** With the authority at its end: who joins by pin finds it there. */
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
  authority: Authority,
  tools: { readonly clock: Clock; readonly random: Random },
): Promise<OwnCertificate> {
  const { clock } = tools;
  const listeners: ((tls: OwnTls) => void)[] = [];
  let tls = await issueOwn(authority, tools);
  let issuedAtMs = clock.nowMs();
  const turn = async (): Promise<void> => {
    if (clock.nowMs() - issuedAtMs < NODE_CERTIFICATE_LIFETIME_MS * RENEW_LIFE_RATIO) return;
    tls = await issueOwn(authority, tools);
    issuedAtMs = clock.nowMs();
    for (const listener of listeners) listener(tls);
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

async function issueOwn(authority: Authority, tools: { clock: Clock; random: Random }): Promise<OwnTls> {
  const key = generateSigningKey();
  const certificate = await issueCertificate(
    authority,
    await createCertificateRequest(key),
    { role: "origin", pool: "-", name: ORIGIN_NAME },
    { ...tools, lifetimeMs: NODE_CERTIFICATE_LIFETIME_MS },
  );
  const authoritiesPem = formatPemChain([authority.certificate]);
  return { keyPem: exportPrivateKey(key), chainPem: formatPemChain([certificate]) + authoritiesPem, authoritiesPem };
}
