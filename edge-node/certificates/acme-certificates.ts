/** The certificates that an edge without an origin orders itself, and answers for on its own listener. */
import { Failure } from "#domain/failure.ts";
import { AcmeKeeper, type AcmeKeeperEvents } from "#platform/acme/acme-keeper.ts";
import { CertificateFolder } from "#platform/acme/certificate-folder.ts";
import { type AcmeAuthority, orderCertificate } from "#platform/acme/order-certificate.ts";
import type { Clock } from "#platform/clock.ts";
import { isForName, readCertificate } from "#platform/identity/site-certificate.ts";
import type { Certificates } from "../front/tls/certificates.ts";
import type { HttpChallenges } from "./http-challenges.ts";

export interface AcmeOptions extends Omit<AcmeAuthority, "accountKeyPem"> {
  /** Host names, each with a certificate of its own: one that cannot be proved keeps no other waiting. */
  readonly names: readonly string[];
  /** Of the account's key, and of keys and certificates over restarts. */
  readonly folder: string;
}

export interface AcmeTools {
  readonly certificates: Certificates;
  readonly challenges: HttpChallenges;
  readonly events: AcmeKeeperEvents;
  readonly clock: Clock;
}

/** Takes what is stored first; orders go on behind it. */
export async function startAcme(options: AcmeOptions, tools: AcmeTools): Promise<AcmeKeeper> {
  const { certificates, challenges, events, clock } = tools;
  const folder = await CertificateFolder.open(options.folder);
  const authority = { ...options, accountKeyPem: await folder.accountKeyPem() };
  const stored = await folder.load();
  for (const name of options.names) {
    const pair = stored.get(name);
    if (pair !== undefined) certificates.offer(sourceOf(name), pair);
  }
  const port = {
    publish: async ({ token, keyAuthorization }: { token: string; keyAuthorization: string }) =>
      challenges.set(token, keyAuthorization),
    withdraw: ({ token }: { token: string }) => challenges.delete(token),
  };
  return new AcmeKeeper({
    names: () => options.names,
    find: (name) => certificates.find(sourceOf(name)),
    async order(name, signal) {
      const pair = await orderCertificate(authority, name, { challenges: port, signal });
      const certificate = readCertificate(sourceOf(name), pair, clock.nowMs());
      if (!isForName(certificate, name))
        throw new Failure("certificate-invalid", `${sourceOf(name)}: it is for ${certificate.names.join(", ")}`);
      await folder.save(name, pair);
      const refused = certificates.offer(sourceOf(name), pair);
      if (refused !== undefined) throw refused;
    },
    events,
    clock,
  });
}

function sourceOf(name: string): string {
  return `acme:${name}`;
}
