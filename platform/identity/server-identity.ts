/** Asks a TLS listener who it is, before anything is sent: its chain must lead to the pinned or known authority. */

import type { X509Certificate } from "node:crypto";
import { connect, type DetailedPeerCertificate, type TLSSocket } from "node:tls";
import { Failure, isFailure } from "#domain/failure.ts";
import { type Address, formatAddress } from "../address.ts";
import { CHAIN_LENGTH_MAX, formatPemChain, parseCertificate, pinOf, verifyChain } from "./certificates.ts";
import type { PeerIdentity, Role } from "./peer.ts";

export type ServerTrust = { readonly pin: string } | { readonly authorities: readonly X509Certificate[] };

export interface ServerIdentity {
  readonly peer: PeerIdentity;
  /** What to trust on connections to it from now on. */
  readonly authoritiesPem: string;
}

const SERVER_ROLES: readonly Role[] = ["origin", "edge"];

/** Throws `certificate-untrusted` for another authority, `unavailable` where nobody answers. */
export async function fetchServerIdentity(
  address: Address,
  trust: ServerTrust,
  { nowMs, signal }: { readonly nowMs: number; readonly signal: AbortSignal },
): Promise<ServerIdentity> {
  const chain = await presentedChain(address, signal);
  const authorities =
    "pin" in trust ? chain.filter((certificate) => pinOf(certificate) === trust.pin) : trust.authorities;
  if (authorities.length === 0) {
    const shown = chain.at(-1);
    const got = shown === undefined ? "no certificate" : pinOf(shown);
    const where = formatAddress(address);
    throw new Failure(
      "certificate-untrusted",
      `${where} is not of the pinned authority: expected ${"pin" in trust ? trust.pin : "a known one"}, got ${got}`,
    );
  }
  try {
    const { identity } = verifyChain(chain, { authorities, roles: SERVER_ROLES }, nowMs);
    return { peer: identity, authoritiesPem: formatPemChain(authorities) };
  } catch (cause) {
    if (!isFailure(cause, "certificate-untrusted") || "pin" in trust) throw cause;
    throw new Failure(
      "certificate-untrusted",
      `${formatAddress(address)}: ${cause.message}; a node that was away while another authority took over, and for longer ` +
        "than the one before was trusted, joins again by a new token (perigee join-token)",
      { cause },
    );
  }
}

/** Leaf first. Nothing of it is trusted yet. */
function presentedChain({ host, port }: Address, signal: AbortSignal): Promise<readonly X509Certificate[]> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({ host, port, rejectUnauthorized: false, ALPNProtocols: ["h2", "http/1.1"] });
    const fail = (cause: unknown): void => {
      socket.destroy();
      const where = formatAddress({ host, port });
      reject(new Failure("unavailable", `${where} cannot be reached`, { cause, retryable: true }));
    };
    const onAbort = (): void => fail(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("close", () => signal.removeEventListener("abort", onAbort));
    socket.once("error", fail);
    socket.once("secureConnect", () => {
      const chain = chainOf(socket.getPeerCertificate(true));
      socket.destroy();
      resolve(chain);
    });
  });
}

function chainOf(leaf: DetailedPeerCertificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next: DetailedPeerCertificate | undefined = leaf;
  while (next?.raw !== undefined && chain.length < CHAIN_LENGTH_MAX) {
    chain.push(parseCertificate(next.raw));
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  return chain;
}
