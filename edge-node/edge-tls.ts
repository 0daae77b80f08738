/** The TLS listener of an edge-node: what its content listener answers, with the certificates of its configuration. */
import { parseAddress } from "#platform/address.ts";
import type { SealingKey } from "#platform/identity/sealing.ts";
import type { HttpChallenges } from "./certificates/http-challenges.ts";
import { SiteCertificates } from "./certificates/site-certificates.ts";
import type { EdgeConfig } from "./config.ts";
import type { EdgeParts } from "./edge-parts.ts";
import type { Front } from "./front/front.ts";
import type { CertificateSource } from "./front/tls/certificate-files.ts";
import { startTlsFront, type TlsFront } from "./front/tls/tls-front.ts";

type TlsConfig = NonNullable<EdgeConfig["tls"]>;

export interface EdgeTlsTools {
  readonly front: Front;
  readonly challenges: HttpChallenges;
  readonly sealingKey: SealingKey;
  /** Whether other processes listen at the same port. */
  readonly isShared: boolean;
}

export interface EdgeTls extends TlsFront {
  /** Takes the certificates that are in the pool's set now. */
  applySet(): void;
}

/** Files that cannot be served are told and looked at again: an edge that starts offline serves what it can. */
export async function startEdgeTls(
  config: TlsConfig,
  parts: EdgeParts,
  { front, challenges, sealingKey, isShared }: EdgeTlsTools,
): Promise<EdgeTls> {
  const { clock, random, logger, metrics, edgeEvents: events } = parts;
  const handle = front.answer.bind(front);
  const tools = { front, handle, challenges, events, metrics, logger, clock, random, isShared };
  const tls = await startTlsFront({ listen: parseAddress(config.listen), sources: sourcesOf(config) }, tools);
  const { certificates } = tls;
  const fromOrigin = new SiteCertificates({ node: parts.identity.peer.name, sealingKey, certificates });
  return { ...tls, applySet: () => fromOrigin.apply(parts.set.resources) };
}

function sourcesOf({ certificates, folder }: TlsConfig): readonly CertificateSource[] {
  const pairs = certificates.map((pair): CertificateSource => ({ kind: "pair", ...pair }));
  return folder === undefined ? pairs : [...pairs, { kind: "folder", folder }];
}
