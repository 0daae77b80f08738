/** Enrolment over gRPC: a join token or the old certificate's key gets a node its certificate and the keys to trust. */
import type { X509Certificate } from "node:crypto";
import { Enrolment, type EnrolRequest, type RenewRequest } from "#contracts/generated/perigee/v1/enrolment_pb.js";
import { Failure } from "#domain/failure.ts";
import { parseName } from "#domain/ids.ts";
import type { Clock } from "#platform/clock.ts";
import { type ServiceEntry, serviceOf } from "#platform/grpc/server.ts";
import {
  issueCertificate,
  NODE_CERTIFICATE_LIFETIME_MS,
  SCHEDULER_CERTIFICATE_LIFETIME_MS,
} from "#platform/identity/authority.ts";
import { parseCertificate, verifyChain } from "#platform/identity/certificates.ts";
import { type PeerIdentity, serialOf } from "#platform/identity/peer.ts";
import { exportPublicKey, isSignedBy, type SigningKey } from "#platform/identity/signatures.ts";
import type { Random } from "#platform/random.ts";
import { RENEW_GRACE_MS } from "../keys/authorities.ts";
import type { OriginKeys } from "../keys/origin-keys.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { findResource, writeResource } from "../log/resources.ts";
import type { JoinTokens } from "./join-tokens.ts";
import type { Members } from "./members.ts";
import { checkPoolToJoin } from "./pools.ts";

const RENEW_CONTEXT = "perigee/renew/1";

export interface EnrolmentParts {
  readonly log: ResourceLog;
  readonly members: Members;
  readonly keys: OriginKeys;
  readonly joinTokens: JoinTokens;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: { enrolled(identity: PeerIdentity): void; enrolRefused(node: string, error: unknown): void };
}

export function enrolmentService(parts: EnrolmentParts): ServiceEntry {
  return serviceOf(Enrolment, {
    enrol: (request) => reporting(parts, request.nodeName, () => enrol(parts, request)),
    renew: (request) => reporting(parts, "renewal", () => renew(parts, request)),
  });
}

async function reporting<T>({ events }: EnrolmentParts, node: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    events.enrolRefused(node, error);
    throw error;
  }
}

/** The token is used up only when the certificate is made: a malformed request costs nothing. */
async function enrol(parts: EnrolmentParts, request: EnrolRequest) {
  const name = parseName(request.nodeName, "the node's name");
  const { role, pool, labels } = parts.joinTokens.check(request.joinToken, name);
  checkPoolToJoin(parts.log, { role, pool });
  const identity: PeerIdentity = { role, pool, name };
  const answer = await certify(parts, identity, request.certificateRequest);
  parts.joinTokens.redeem(request.joinToken, name);
  const current = findResource(parts.log, "Node", name)?.spec;
  const spec = { role, pool, cordoned: current?.cordoned ?? false, draining: current?.draining ?? false };
  await writeResource(parts.log, { kind: "Node", metadata: { name, labels }, spec }, parts.clock.nowMs());
  parts.events.enrolled(identity);
  return answer;
}

async function renew(parts: EnrolmentParts, request: RenewRequest) {
  const chain = request.oldChain.map(parseCertificate);
  const expiresAtMs = chain[0]?.validToDate.getTime() ?? 0;
  const nowMs = parts.clock.nowMs();
  const trust = { authorities: parts.keys.authorities.trusted, roles: ["edge", "agent", "scheduler"] as const };
  const { identity, leaf } = verifyChain(chain, trust, Math.min(nowMs, expiresAtMs));
  if (nowMs - expiresAtMs > RENEW_GRACE_MS) throw expiredForGood(identity, leaf.validTo);
  if (!isSignedBy(RENEW_CONTEXT, request.certificateRequest, request.proof, leaf.publicKey)) {
    throw new Failure("proof-invalid", `the renewal of ${identity.name} is not signed by its old key`);
  }
  parts.members.check({ ...identity, serial: serialOf(leaf) }, trust.roles);
  return certify(parts, identity, request.certificateRequest);
}

/** Told to the node, which logs it: its operator reads there what to do. */
function expiredForGood({ role, name, pool }: PeerIdentity, expiredAt: string): Failure {
  const poolOption = role === "scheduler" ? "" : ` --pool ${pool}`;
  return new Failure(
    "certificate-untrusted",
    `the certificate of ${name} expired at ${expiredAt}, more than ${RENEW_GRACE_MS / 86_400_000} days ago, and cannot be renewed: ` +
      `run perigee join-token --role ${role} --name ${name}${poolOption}, set join.tokenFile and join.pin to what it prints, ` +
      "move identity/identity.json of the node's dataDir away and start the node again; what else it holds stays",
  );
}

async function certify(parts: EnrolmentParts, identity: PeerIdentity, request: Uint8Array) {
  const { keys, clock, random, log } = parts;
  const lifetimeMs = identity.role === "scheduler" ? SCHEDULER_CERTIFICATE_LIFETIME_MS : NODE_CERTIFICATE_LIFETIME_MS;
  const certificate = await issueCertificate(keys.authorities.issuing, request, identity, {
    clock,
    random,
    lifetimeMs,
  });
  return {
    chain: [certificate, ...keys.authorities.intermediates].map(derOf),
    authorities: keys.authorities.trusted.map(derOf),
    role: identity.role,
    pool: identity.pool,
    streamKeys: [publicKeyOf(keys.stream)],
    publishKeys: [publicKeyOf(keys.publish)],
    tokenKeys: [publicKeyOf(keys.token)],
    epoch: BigInt(log.epoch),
  };
}

function derOf({ raw }: Pick<X509Certificate, "raw">): Uint8Array {
  return new Uint8Array(raw);
}

function publicKeyOf(key: SigningKey) {
  return { keyId: key.keyId, spki: new Uint8Array(exportPublicKey(key.publicKey)) };
}
