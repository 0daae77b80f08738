/** An authoritative DNS server at one address: UDP and TCP on the same port. */
import type { Socket } from "node:dgram";
import type { Address } from "../address.ts";
import type { Clock } from "../clock.ts";
import { closeServer, listen } from "../http/listening.ts";
import { bindUdp, createUdpSocket } from "../links/udp-ports.ts";
import type { DnsEvents } from "./events.ts";
import { type Responding, respond } from "./responder.ts";
import { responseRates } from "./response-rate.ts";
import { createDnsTcp } from "./tcp-connections.ts";
import type { ServedZones } from "./zone-answer.ts";

/** What is answered is on its way by then; who reads no answer does not hold the stop. */
const STOP_MS_MAX = 1_000;
/** The system picks the port for TCP; with UDP it may be taken. */
const PORT_ATTEMPTS_MAX = 16;

export interface DnsServerOptions extends ServedZones {
  readonly address: Address;
  readonly clock: Clock;
  readonly events: DnsEvents;
}

export interface RunningDnsServer extends AsyncDisposable {
  readonly address: Address;
}

/** Throws `unavailable` where the address cannot be had. */
export async function startDnsServer(options: DnsServerOptions): Promise<RunningDnsServer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await listenOnce(options);
    } catch (error) {
      if (options.address.port !== 0 || attempt >= PORT_ATTEMPTS_MAX) throw error;
    }
  }
}

async function listenOnce({ address, clock, events, zones, names }: DnsServerOptions): Promise<RunningDnsServer> {
  await using stack = new AsyncDisposableStack();
  const responding: Responding = { zones, names, events, rates: responseRates(clock) };
  const tcp = createDnsTcp({
    ...{ clock, events },
    respond: (message, from) => respond(responding, message, { transport: "tcp", from }),
  });
  const bound = await listen(tcp.server, address);
  tcp.server.on("error", events.broke);
  stack.defer(async () => {
    const closed = closeServer(tcp.server);
    tcp.endAll();
    using _late = clock.timer(STOP_MS_MAX, tcp.destroyAll);
    await closed;
  });
  const socket = createUdpSocket(address.host);
  await bindUdp(socket, bound);
  stack.defer(() => new Promise((resolve) => socket.close(() => resolve())));
  answerDatagrams(socket, responding);
  const running = stack.move();
  return { address: bound, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function answerDatagrams(socket: Socket, responding: Responding): void {
  const { events } = responding;
  socket.on("message", (message, { address: from, port }) => {
    // Nobody listens there.
    if (port === 0) return;
    const answer = respond(responding, message, { transport: "udp", from });
    if (answer === undefined) return;
    socket.send(answer, port, from, (error) => {
      if (error !== null) events.dropped("unsent");
    });
  });
  socket.on("error", events.broke);
}
