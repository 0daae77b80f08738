/** A node's identity for its whole life: joins once by token, is loaded at each start, and renews while it runs. */
import type { X509Certificate } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join as joinPath } from "node:path";
import { assert } from "#domain/assert.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Address } from "../address.ts";
import type { Clock } from "../clock.ts";
import { backoffMs } from "../concurrency/retry.ts";
import type { CertificatePair } from "../grpc/certificate-source.ts";
import type { ClientTls } from "../grpc/client.ts";
import type { ServerTls } from "../grpc/server.ts";
import type { Logger } from "../logging.ts";
import type { Random } from "../random.ts";
import { formatPemChain, parseCertificate, parsePemChain, verifyChain } from "./certificates.ts";
import { readIdentity, type StoredIdentity, type StoredKey, writeIdentity } from "./identity-file.ts";
import { type PeerIdentity, parseIdentity, type Role, serialOf, serverNameOf } from "./peer.ts";
import { fetchServerIdentity, type ServerTrust } from "./server-identity.ts";
import {
  exportPrivateKey,
  generateSigningKey,
  importPrivateKey,
  importPublicKey,
  type SigningKey,
  signBytes,
  type TrustedKeys,
} from "./signatures.ts";
import type { TokenSigner } from "./tokens.ts";

const RENEW_CONTEXT = "perigee/renew/1";
/** Renewal begins here plus up to a fifth of the certificate's life, so that nodes that joined together do not renew together. */
const RENEW_LIFE_RATIO_MIN = 0.7;
const RENEW_LIFE_RATIO_SPREAD = 0.2;
/** A node that was cut off renews within this of being back. */
const RENEW_CHECK_MS = 60_000;
/** What makes a request is a large library: users of a node that starts with an expired certificate are served before it is loaded. */
const FIRST_RENEW_MS = 1_000;
const CALL_MS_MAX = 10_000;
/** A first start waits for its origin for as long as it takes. */
const JOIN_BACKOFF = { attemptsMax: 1, baseMs: 500, capMs: 10_000 };
const JOIN_DOUBLINGS_MAX = 10;

interface IssuedKey {
  readonly keyId: string;
  readonly spki: Uint8Array;
}

/** An authority's answer to a joining or renewing node. Certificates in DER, leaf first. */
export interface IssuedIdentity {
  readonly chain: readonly Uint8Array[];
  readonly authorities: readonly Uint8Array[];
  readonly streamKeys: readonly IssuedKey[];
  readonly publishKeys: readonly IssuedKey[];
  readonly tokenKeys: readonly IssuedKey[];
  readonly epoch: bigint;
}

interface CallLimits {
  readonly signal: AbortSignal;
}

/** The enrolment service, as its gRPC client is. */
export interface EnrolmentCalls extends Disposable {
  enrol(
    request: { joinToken: string; nodeName: string; certificateRequest: Uint8Array },
    limits: CallLimits,
  ): Promise<IssuedIdentity>;
  renew(
    request: { certificateRequest: Uint8Array; oldChain: Uint8Array[]; proof: Uint8Array },
    limits: CallLimits,
  ): Promise<IssuedIdentity>;
}

export interface NodeIdentityOptions {
  /** Made where it is not there; holds `identity.json`. */
  readonly folder: string;
  readonly role: Role;
  readonly name: string;
  /** Needed at the first start only. */
  readonly join?: { readonly tokenFile: string; readonly pin: string };
  /** Where to join and renew, tried in order; read at each try, since what is known of it changes. */
  readonly enrolment: readonly Address[];
  readonly connect: (address: Address, tls: ClientTls) => EnrolmentCalls;
  readonly clock: Clock;
  readonly random: Random;
  /** Ends the wait for an origin at the first start. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

export interface NodeTrust {
  readonly authorities: readonly X509Certificate[];
  readonly streamKeys: TrustedKeys;
  readonly publishKeys: TrustedKeys;
  readonly tokenKeys: TrustedKeys;
  /** The origin's epoch when the certificate was issued: a floor. */
  readonly epoch: number;
}

export interface NodeIdentity extends AsyncDisposable {
  readonly peer: PeerIdentity;
  readonly trust: NodeTrust;
  readonly expiresAtMs: number;
  /** As a `Revocation` names it. */
  readonly serial: string;
  pair(): CertificatePair;
  /** The same object until a renewal: its certificates are parsed once. */
  clientTls(serverName: string): ClientTls;
  serverTls(clientCertificate: ServerTls["clientCertificate"]): ServerTls;
  signer(): TokenSigner;
  /** Called after each renewal: servers take the new pair, links reconnect in their own time. */
  onRenewed(listener: () => void): Disposable;
}

interface Held {
  readonly peer: PeerIdentity;
  readonly key: SigningKey;
  readonly chain: readonly X509Certificate[];
  readonly leaf: X509Certificate;
  readonly stored: StoredIdentity;
  readonly trust: NodeTrust;
}

/**
 * Loads, or joins and waits for the origin as long as `signal` lets it. Throws `config-invalid` where it must join and
 * cannot, `join-token-*` for a token the origin refuses, `certificate-untrusted` for another authority than the pinned.
 */
export async function openNodeIdentity(options: NodeIdentityOptions): Promise<NodeIdentity> {
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  const path = joinPath(options.folder, "identity.json");
  const stored = await readIdentity(path);
  let held = stored === undefined ? await joinFirst(options, path) : heldOf(stored, options);
  const listeners = new Set<() => void>();
  /** By server name, of the certificate in force. */
  const clientTls = new Map<string, ClientTls>();
  const stopping = new AbortController();
  let renewAtMs = renewalOf(held.leaf, options.random);
  const turn = async (): Promise<void> => {
    if (options.clock.nowMs() < renewAtMs) return;
    try {
      held = await renew(options, path, held, stopping.signal);
    } catch (error) {
      if (!isFailure(error)) throw error;
      if (!stopping.signal.aborted) options.logger.warn({ err: error, expiresAt: held.leaf.validTo }, "renewal failed");
      return;
    }
    clientTls.clear();
    renewAtMs = renewalOf(held.leaf, options.random);
    options.logger.info({ expiresAt: held.leaf.validTo }, "certificate renewed");
    for (const listener of listeners) listener();
  };
  // A certificate that ran out while the node was off is renewed beside the start.
  const early = options.clock.timer(FIRST_RENEW_MS, () => void turn());
  const renewing = options.clock.every(RENEW_CHECK_MS, turn);
  return {
    peer: held.peer,
    get trust() {
      return held.trust;
    },
    get expiresAtMs() {
      return held.leaf.validToDate.getTime();
    },
    get serial() {
      return serialOf(held.leaf);
    },
    pair: () => pairOf(held),
    clientTls(serverName) {
      const made = clientTls.get(serverName) ?? {
        authoritiesPem: held.stored.authoritiesPem,
        own: pairOf(held),
        serverName,
      };
      clientTls.set(serverName, made);
      return made;
    },
    serverTls: (clientCertificate) => ({
      ...pairOf(held),
      authoritiesPem: held.stored.authoritiesPem,
      clientCertificate,
    }),
    signer: () => ({ key: held.key, chain: held.chain }),
    onRenewed(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    [Symbol.asyncDispose]: async () => {
      stopping.abort(new Failure("unavailable", "the node is stopping"));
      early[Symbol.dispose]();
      renewing[Symbol.dispose]();
    },
  };
}

/** The authority stands at the end: who joins by pin finds it there. */
function pairOf({ stored }: Held): CertificatePair {
  return { keyPem: stored.keyPem, chainPem: stored.chainPem + stored.authoritiesPem };
}

function renewalOf(leaf: X509Certificate, random: Random): number {
  const fromMs = leaf.validFromDate.getTime();
  const lifeMs = leaf.validToDate.getTime() - fromMs;
  return fromMs + lifeMs * (RENEW_LIFE_RATIO_MIN + RENEW_LIFE_RATIO_SPREAD * random.ratio());
}

async function joinFirst(options: NodeIdentityOptions, path: string): Promise<Held> {
  const { join, name, clock, random, signal } = options;
  if (join === undefined) {
    throw new Failure(
      "config-invalid",
      `${path} is not there: ${name} has not joined yet and needs join.tokenFile and join.pin (perigee join-token)`,
    );
  }
  const joinToken = (await readTokenFile(join.tokenFile)).trim();
  const key = generateSigningKey();
  const certificateRequest = await requestFor(key);
  for (let attempt = 1; ; attempt += 1) {
    try {
      const issued = await callAny(options, { pin: join.pin }, signal, (calls, limits) =>
        calls.enrol({ joinToken, nodeName: name, certificateRequest }, limits),
      );
      return await keep(options, path, key, issued);
    } catch (error) {
      if (!isFailure(error) || !mayPass(error) || signal.aborted) throw error;
      options.logger.warn({ err: error }, "waiting to join");
      await clock.sleep(backoffMs(JOIN_BACKOFF, Math.min(attempt, JOIN_DOUBLINGS_MAX), random), signal);
    }
  }
}

function mayPass({ code, retryable }: Failure): boolean {
  return retryable || code === "unavailable" || code === "deadline-exceeded";
}

async function readTokenFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new Failure("config-invalid", `join.tokenFile: ${path} cannot be read`, { cause });
  }
}

async function renew(options: NodeIdentityOptions, path: string, held: Held, signal: AbortSignal): Promise<Held> {
  const key = generateSigningKey();
  const certificateRequest = await requestFor(key);
  const proof = signBytes(RENEW_CONTEXT, certificateRequest, held.key);
  const oldChain = held.chain.map((certificate) => new Uint8Array(certificate.raw));
  const issued = await callAny(options, { authorities: held.trust.authorities }, signal, (calls, limits) =>
    calls.renew({ certificateRequest, oldChain, proof }, limits),
  );
  return keep(options, path, key, issued);
}

/** Requests are made rarely and their library is large: it is loaded then, not on the start path. */
async function requestFor(key: SigningKey): Promise<Uint8Array> {
  const { createCertificateRequest } = await import("./authority.ts");
  return createCertificateRequest(key);
}

type Call = (calls: EnrolmentCalls, limits: CallLimits) => Promise<IssuedIdentity>;

/** The first listener that answers decides; throws what the last one said. */
async function callAny(options: NodeIdentityOptions, trust: ServerTrust, parent: AbortSignal, call: Call) {
  let last = new Failure("config-invalid", "no enrolment address is configured");
  for (const address of options.enrolment) {
    const signal = options.clock.deadline(CALL_MS_MAX, parent);
    try {
      const server = await fetchServerIdentity(address, trust, { nowMs: options.clock.nowMs(), signal });
      const { authoritiesPem, peer } = server;
      using calls = options.connect(address, { authoritiesPem, serverName: serverNameOf(peer) });
      return await call(calls, { signal });
    } catch (error) {
      if (!isFailure(error)) throw error;
      last = error;
      if (!mayPass(error)) break;
    }
  }
  throw last;
}

/** Durable before it is used: the old one is forgotten only then. */
async function keep(options: NodeIdentityOptions, path: string, key: SigningKey, issued: IssuedIdentity) {
  const authorities = issued.authorities.map(parseCertificate);
  const stored: StoredIdentity = {
    keyPem: exportPrivateKey(key),
    chainPem: formatPemChain(issued.chain.map(parseCertificate)),
    authoritiesPem: formatPemChain(authorities),
    streamKeys: issued.streamKeys.map(storedKeyOf),
    publishKeys: issued.publishKeys.map(storedKeyOf),
    tokenKeys: issued.tokenKeys.map(storedKeyOf),
    epoch: Number(issued.epoch),
  };
  const held = heldOf(stored, options);
  verifyChain(held.chain, { authorities, roles: [options.role] }, options.clock.nowMs());
  await writeIdentity(path, stored);
  return held;
}

function storedKeyOf({ keyId, spki }: IssuedKey): StoredKey {
  return { keyId, spki: Buffer.from(spki).toString("base64") };
}

/** An expired chain is held too: a node that was off serves what it has, and renews. */
function heldOf(stored: StoredIdentity, { role, name, folder }: NodeIdentityOptions): Held {
  const key = importPrivateKey(stored.keyPem);
  const chain = parsePemChain(stored.chainPem);
  const [leaf] = chain;
  assert(leaf !== undefined, "a stored chain has a leaf");
  const peer = parseIdentity(leaf.subjectAltName);
  if (peer === undefined || peer.role !== role || peer.name !== name || !leaf.checkPrivateKey(key.privateKey)) {
    const got = peer === undefined ? "nobody" : `${peer.role} ${peer.name}`;
    throw new Failure(
      "certificate-untrusted",
      `the identity in ${folder} is ${got}'s, expected ${role} ${name}: check \`name\` and \`dataDir\``,
    );
  }
  const trust = {
    authorities: parsePemChain(stored.authoritiesPem),
    streamKeys: keysOf(stored.streamKeys),
    publishKeys: keysOf(stored.publishKeys),
    tokenKeys: keysOf(stored.tokenKeys),
    epoch: stored.epoch,
  };
  return { peer, key, chain, leaf, stored, trust };
}

function keysOf(keys: readonly StoredKey[]): TrustedKeys {
  return new Map(keys.map(({ keyId, spki }) => [keyId, importPublicKey(Buffer.from(spki, "base64"))]));
}
