/** The origin renews its own certificate while it runs, and its listeners show the new one to whoever connects next. */
import { connect, type PeerCertificate } from "node:tls";
import t from "tap";
import { startGrpcServer } from "#platform/grpc/server.ts";
import { NODE_CERTIFICATE_LIFETIME_MS } from "#platform/identity/authority.ts";
import { systemRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { openFileBlobStore } from "../blob-store/file-blob-store.ts";
import { startDelivery } from "../delivery/delivery-listener.ts";
import { Members } from "../enrolment/members.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { Authorities } from "./authorities.ts";
import { openOwnCertificate } from "./own-certificate.ts";

const local = { host: "127.0.0.1", port: 0 };
const DAY_MS = 86_400_000;

/** Shown to a stranger who checks nothing: the virtual clock's certificates are not valid today. */
function shownAt(address: { host: string; port: number }): Promise<PeerCertificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...address, rejectUnauthorized: false, ALPNProtocols: ["h2", "http/1.1"] }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    }).once("error", reject);
  });
}

t.test("long before it expires the certificate is issued anew, and shown without a restart", async (t) => {
  const clock = new VirtualClock();
  const tools = { clock, random: systemRandom };
  using certificate = await openOwnCertificate(await Authorities.open(testFolder(t), tools), tools);
  using log = openSqliteLog(":memory:");
  const events = { delivered: () => undefined, deliveryRefused: () => undefined };
  const blobs = await openFileBlobStore(testFolder(t));
  await using delivery = await startDelivery({ certificate, blobs, members: new Members(log), events }, local);
  const tls = { ...certificate.tls, clientCertificate: "none" as const };
  await using rpc = await startGrpcServer({ clock, listen: local, tls, services: [] });
  const renewal = Promise.withResolvers<void>();
  certificate.onRenewed((renewed) => {
    rpc.replaceCertificate(renewed);
    renewal.resolve();
  });

  const first = certificate.expiresAtMs;
  await clock.advance(NODE_CERTIFICATE_LIFETIME_MS / 2);
  t.equal(certificate.expiresAtMs, first, "half of its life is no reason");
  const before = await Promise.all([delivery, rpc].map(({ address }) => shownAt(address)));
  await clock.advance(NODE_CERTIFICATE_LIFETIME_MS / 2 - DAY_MS);
  await renewal.promise;
  t.ok(certificate.expiresAtMs > first + 10 * DAY_MS, "renewed before the first ran out");
  const after = await Promise.all([delivery, rpc].map(({ address }) => shownAt(address)));
  for (const [index, { serialNumber }] of after.entries()) t.not(serialNumber, before[index]?.serialNumber);
  t.equal(after[0]?.serialNumber, after[1]?.serialNumber);
});
