/** An edge's listener for TLS with its certificates: from files, and ordered by ACME. */
import type { Failure } from "#domain/failure.ts";
import type { Address } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";
import type { Random } from "#platform/random.ts";
import type { AcmeOptions } from "../../certificates/acme-certificates.ts";
import type { HttpChallenges } from "../../certificates/http-challenges.ts";
import type { Front } from "../front.ts";
import { CertificateFiles, type CertificateSource } from "./certificate-files.ts";
import { Certificates } from "./certificates.ts";
import type { RequestHandler } from "./h2-sessions.ts";
import { rotateTicketKeys, type TicketKeys } from "./ticket-keys.ts";
import { createTlsEvents, type ListenerEvents } from "./tls-events.ts";
import { startTlsListener, type TlsEvents } from "./tls-listener.ts";

export interface TlsOptions {
  readonly listen: Address;
  readonly sources: readonly CertificateSource[];
  readonly acme?: AcmeOptions;
}

export interface TlsTools {
  readonly front: Pick<Front, "accept">;
  readonly handle: RequestHandler;
  /** Answered by \`handle\`, and by whatever listens in the clear. */
  readonly challenges: HttpChallenges;
  readonly events: ListenerEvents;
  /** Whether other processes listen at the same port. */
  readonly isShared?: boolean;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

export interface TlsFront extends AsyncDisposable {
  readonly address: Address;
  /** For those that come from elsewhere than files. */
  readonly certificates: Certificates;
  readonly ticketKeys: TicketKeys;
  readonly events: TlsEvents;
  /** Of the files, at the start: the listener goes on without them, and looks at them again. */
  readonly refused: readonly Failure[];
  /** Reads all files again; resolves with what was refused. */
  reload(): Promise<readonly Failure[]>;
}

export async function startTlsFront(options: TlsOptions, tools: TlsTools): Promise<TlsFront> {
  const { front, handle, challenges, clock, random } = tools;
  await using stack = new AsyncDisposableStack();
  const events = createTlsEvents(tools.logger, tools.metrics, tools.events);
  const certificates = new Certificates({ clock, events });
  const files = stack.use(new CertificateFiles({ sources: options.sources, certificates, clock }));
  const refused = await files.loaded;
  if (options.acme !== undefined) {
    const { startAcme } = await import("../../certificates/acme-certificates.ts");
    stack.use(await startAcme(options.acme, { certificates, challenges, events, clock }));
  }
  const { keys: ticketKeys } = stack.use(rotateTicketKeys(tools));
  const listener = stack.use(
    await startTlsListener({
      address: options.listen,
      certificates,
      serveHttp1: (socket) => front.accept(socket, "https"),
      handle,
      events,
      clock,
      random,
      sharing: { ticketKeys, reusePort: tools.isShared === true },
    }),
  );
  const running = stack.move();
  return {
    address: listener.address,
    certificates,
    ticketKeys,
    events,
    refused,
    reload: () => files.reload(),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
