/** TLS at a front process: ended here, with the certificates and ticket keys of the main process. */
import type { Address } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import type { Front } from "../front/front.ts";
import { Certificates } from "../front/tls/certificates.ts";
import { TicketKeys } from "../front/tls/ticket-keys.ts";
import { startTlsListener, type TlsEvents } from "../front/tls/tls-listener.ts";
import type { Secrets } from "./messages.ts";
import type { RemoteLane } from "./remote-lane.ts";

export interface FrontTlsTools {
  readonly front: Front;
  readonly full: RemoteLane;
  readonly events: TlsEvents;
  readonly clock: Clock;
}

export interface FrontTls extends AsyncDisposable {
  readonly address: Address;
  replace(secrets: Secrets): void;
}

export async function startFrontTls(
  address: Address,
  secrets: Secrets,
  { front, full, events, clock }: FrontTlsTools,
): Promise<FrontTls> {
  const certificates = new Certificates({ clock, events: TOLD_BY_MAIN });
  const ticketKeys = new TicketKeys(secrets.ticketKeys);
  const replace = ({ pairs, ticketKeys: keys }: Secrets): void => {
    ticketKeys.replace(keys);
    replacePairs(certificates, pairs);
  };
  replace(secrets);
  const listener = await startTlsListener({
    address,
    certificates,
    serveHttp1: (socket) => front.accept(socket, "https"),
    // All streams are answered by the main process.
    handle: () => undefined,
    events,
    clock,
    random: systemRandom,
    sharing: { reusePort: true, ticketKeys, serveHttp2: (socket) => full.joinH2(socket) },
  });
  return { address: listener.address, replace, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() };
}

function replacePairs(certificates: Certificates, pairs: Secrets["pairs"]): void {
  const known = new Map(certificates.list().map((pair) => [pair.source, pair]));
  for (const { source, ...pair } of pairs) {
    const before = known.get(source);
    known.delete(source);
    if (before?.certificatePem !== pair.certificatePem || before.keyPem !== pair.keyPem)
      certificates.offer(source, pair);
  }
  for (const source of known.keys()) certificates.remove(source);
}

const TOLD_BY_MAIN = {
  certificateInForce: () => undefined,
  certificateRefused: () => undefined,
  certificateRemoved: () => undefined,
  certificateRemaining: () => undefined,
};
