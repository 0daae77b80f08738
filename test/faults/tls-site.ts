/** The edge's content inside TLS: its configuration, and whether it answers with a certificate that a client accepts. */
import { writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { parseAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { SHOP } from "#test/bench/prepared-edge.ts";
import type { Edge, Ground } from "#test/end-to-end/fleet.ts";
import { createTestAuthority } from "#test/tls/certificates.ts";
import { logged } from "./edge-words.ts";

const ANSWER_MS_MAX = 10_000;

export interface TlsSite {
  /** Of an edge's configuration. */
  readonly settings: object;
  /** Over a new connection that is verified. */
  isServed(edge: Edge, path: string, wanted: Buffer | undefined): Promise<boolean>;
}

export async function makeTlsSite({ folder }: Ground): Promise<TlsSite> {
  const authority = await createTestAuthority(systemClock.nowMs());
  const { certificatePem, keyPem } = await authority.issue([SHOP.host]);
  const [certificateFile, keyFile] = [join(folder, "shop.crt"), join(folder, "shop.key")];
  writeFileSync(certificateFile, certificatePem);
  writeFileSync(keyFile, keyPem);
  const settings = { tls: { listen: "127.0.0.1:0", certificates: [{ certificateFile, keyFile }] } };
  const isServed = (edge: Edge, path: string, wanted: Buffer | undefined): Promise<boolean> => {
    const where = { ...addressOf(edge), servername: SHOP.host, ca: authority.authorityPem };
    const how = { path, headers: { host: SHOP.host }, agent: false, signal: systemClock.deadline(ANSWER_MS_MAX) };
    return new Promise((resolve, reject) => {
      request({ ...where, ...how }, (response) => {
        const isOk = response.statusCode === 200;
        buffer(response).then((body) => resolve(isOk && wanted?.equals(body) === true), reject);
      })
        .once("error", reject)
        .end();
    });
  };
  return { settings, isServed };
}

/** Another port at each start: the log says which. */
function addressOf(edge: Edge) {
  const { tls = "" }: { tls?: string } = Object(logged(edge, "edge-node listening").at(-1)?.["addresses"]);
  return parseAddress(tls);
}
