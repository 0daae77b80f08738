/** What the processes of a hollow fleet are told: the origin, what its edges trust, and a certificate for each edge. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Type, { type Static } from "typebox";
import { loadOriginKeys } from "#origin/keys/origin-keys.ts";
import { planWrite, type Written } from "#origin/log/resources.ts";
import { openSqliteLog } from "#origin/log/sqlite-log.ts";
import { Distribution } from "#origin/node-rpc/distribution.ts";
import { type Clock, systemClock } from "#platform/clock.ts";
import {
  createCertificateRequest,
  issueCertificate,
  NODE_CERTIFICATE_LIFETIME_MS,
} from "#platform/identity/authority.ts";
import { formatPemChain } from "#platform/identity/certificates.ts";
import type { PeerIdentity } from "#platform/identity/peer.ts";
import {
  exportPrivateKey,
  exportPublicKey,
  generateSigningKey,
  type SigningKey,
} from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";

export const planSchema = Type.Object({
  /** Of the origin, `host:port`. */
  nodeRpc: Type.String(),
  authoritiesPem: Type.String(),
  /** One for all edges of a process: what differs is the certificate. */
  keyPem: Type.String(),
  /** SubjectPublicKeyInfo in DER, base64. */
  streamKey: Type.Object({ keyId: Type.String(), spki: Type.String() }),
  edges: Type.Array(
    Type.Object({
      name: Type.String(),
      pool: Type.String(),
      chainPem: Type.String(),
      /** Where siblings reach it, `host:port`; without one each edge has a stream of its own. */
      peer: Type.Optional(Type.String()),
    }),
  ),
  /** What edges of a pool hold that were linked before, base64: where relays are, they know of one another by it. */
  sets: Type.Record(
    Type.String(),
    Type.Array(Type.Object({ payload: Type.String(), signature: Type.String(), keyId: Type.String() })),
  ),
});
type HollowPlan = Static<typeof planSchema>;

export interface FleetShape {
  readonly edges: number;
  readonly edgesPerPool: number;
  readonly processes: number;
  readonly sites: number;
  /** Edges of a pool relay the watch for one another. */
  readonly hasRelays: boolean;
}

const PEER_PORT = 7600;
const NETWORKS = 200;

/** Each has a loopback address of its own: one address has not as many ports. */
function peerOf(index: number): string {
  const network = 1 + (process.pid % NETWORKS);
  return `127.${network}.${index >> 8}.${index & 255}:${PEER_PORT}`;
}

const WRITES_AT_ONCE = 500;

export const siteName = (index: number) => `site-${index}`;

/** `maxStaleSeconds` is what the benchmark changes. */
export const siteSpec = (index: number, maxStaleSeconds: number) => ({
  hostnames: [`site-${index}.example`],
  pull: { upstream: `https://upstream-${index}.example`, connectTimeoutMs: 3000, responseTimeoutMs: 30_000 },
  cache: { maxStaleSeconds },
});

/** Enrols the fleet in the data of an origin that does not run yet; gives a plan's file for each process. */
export async function prepareFleet(
  dataDir: string,
  folder: string,
  nodeRpc: string,
  { edges, edgesPerPool, processes, sites, hasRelays }: FleetShape,
): Promise<readonly string[]> {
  mkdirSync(dataDir, { recursive: true });
  const tools = { clock: systemClock, random: systemRandom };
  const { authorities, stream } = await loadOriginKeys(dataDir, tools);
  const authority = authorities.issuing;
  const members = Array.from({ length: edges }, (_, index) => ({
    role: "edge" as const,
    pool: `pool-${Math.floor(index / edgesPerPool)}`,
    name: `edge-${index}`,
    ...(hasRelays ? { peer: peerOf(index) } : {}),
  }));
  enrol(dataDir, members, sites, systemClock);
  const sets = hasRelays ? setsOf(dataDir, stream) : {};
  const options = { ...tools, lifetimeMs: NODE_CERTIFICATE_LIFETIME_MS };
  const files: string[] = [];
  for (let part = 0; part < processes; part += 1) {
    const key = generateSigningKey();
    const request = await createCertificateRequest(key);
    const planned: HollowPlan["edges"] = [];
    for (const member of members.filter((_, index) => index % processes === part)) {
      const certificate = await issueCertificate(authority, request, member, options);
      const chainPem = formatPemChain([certificate, authority.certificate]);
      const { name, pool, peer } = member;
      planned.push({ name, pool, chainPem, ...(peer === undefined ? {} : { peer }) });
    }
    const plan: HollowPlan = {
      nodeRpc,
      authoritiesPem: formatPemChain([authority.certificate]),
      keyPem: exportPrivateKey(key),
      streamKey: { keyId: stream.keyId, spki: Buffer.from(exportPublicKey(stream.publicKey)).toString("base64") },
      edges: planned,
      sets,
    };
    const file = join(folder, `hollow-${part}.json`);
    writeFileSync(file, JSON.stringify(plan), { mode: 0o600 });
    files.push(file);
  }
  return files;
}

/** As the origin would send them. */
function setsOf(dataDir: string, stream: SigningKey): HollowPlan["sets"] {
  using log = openSqliteLog(join(dataDir, "log.sqlite"));
  const distribution = new Distribution(log, stream);
  const sets: HollowPlan["sets"] = {};
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  for (const { name } of log.list({ kind: "NodePool" }).rows) {
    const envelopes: HollowPlan["sets"][string] = [];
    using _subscribed = distribution.subscribe(name, undefined, {
      push: ({ payload, signature, keyId }) =>
        void envelopes.push({ payload: text(payload), signature: text(signature), keyId }),
    });
    sets[name] = envelopes;
  }
  return sets;
}

type Member = PeerIdentity & { readonly peer?: string };

function enrol(dataDir: string, members: readonly Member[], sites: number, clock: Clock): void {
  using log = openSqliteLog(join(dataDir, "log.sqlite"));
  const labels = {};
  const coordinates = { latitude: 0, longitude: 0 };
  const place = { region: "hollow", coordinates, autonomyDurationSeconds: 86_400 };
  const relay = members.some(({ peer }) => peer !== undefined);
  const pools = [...new Set(members.map(({ pool }) => pool))];
  const written: readonly Written[] = [
    ...pools.map((name) => ({ kind: "NodePool", metadata: { name, labels }, spec: { ...place, relay } }) as const),
    ...Array.from({ length: sites }, (_, index) => {
      return { kind: "Site", metadata: { name: siteName(index), labels }, spec: siteSpec(index, 60) } as const;
    }),
    ...members.map(({ name, pool, peer }) => {
      const reached = peer === undefined ? {} : { peerAddress: peer };
      const spec = { role: "edge", pool, cordoned: false, draining: false, ...reached } as const;
      return { kind: "Node", metadata: { name, labels }, spec } as const;
    }),
  ];
  for (let at = 0; at < written.length; at += WRITES_AT_ONCE) {
    const plans = written.slice(at, at + WRITES_AT_ONCE).map((one) => planWrite(log, one, clock.nowMs()));
    log.write(plans.flatMap(({ write }) => (write === undefined ? [] : [write])));
  }
}
