/** The TLS listener of an edge-node: what its content listener answers, with the certificates of its configuration. */
import { join } from "node:path";
import { parseAddress } from "#platform/address.ts";
import type { SealingKey } from "#platform/identity/sealing.ts";
import { openOrBeginAgain } from "#platform/sqlite/database.ts";
import type { HttpChallenges } from "./certificates/http-challenges.ts";
import { LAST_CERTIFICATES_MIGRATIONS, LastCertificates } from "./certificates/last-certificates.ts";
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
  readonly dataDir: string;
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
  { front, challenges, sealingKey, dataDir, isShared }: EdgeTlsTools,
): Promise<EdgeTls> {
  const { clock, random, logger, metrics, edgeEvents: events } = parts;
  const handle = front.answer.bind(front);
  const tools = { front, handle, challenges, events, metrics, logger, clock, random, isShared };
  const tls = await startTlsFront({ listen: parseAddress(config.listen), sources: sourcesOf(config) }, tools);
  const { certificates } = tls;
  const { set, identity, events: told } = parts;
  const { database, last } = openLast(join(dataDir, "certificates.sqlite"), told);
  const taking = { node: identity.peer.name, sealingKey, certificates, last, onStorageFailed: told.storageFailed };
  const fromOrigin = new SiteCertificates(taking);
  return {
    ...tls,
    applySet: () => fromOrigin.apply(set.resources, set.watermark !== undefined),
    [Symbol.asyncDispose]: async () => {
      await tls[Symbol.asyncDispose]();
      database.close();
    },
  };
}

function openLast(path: string, events: EdgeParts["events"]) {
  return openOrBeginAgain(
    path,
    { migrations: LAST_CERTIFICATES_MIGRATIONS, durability: "full" },
    (database) => ({ database, last: new LastCertificates(database) }),
    (failure) => events.storedDamaged("certificates", failure),
  );
}

function sourcesOf({ certificates, folder }: TlsConfig): readonly CertificateSource[] {
  const pairs = certificates.map((pair): CertificateSource => ({ kind: "pair", ...pair }));
  return folder === undefined ? pairs : [...pairs, { kind: "folder", folder }];
}
