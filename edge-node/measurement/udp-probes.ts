/**
 * Probes over UDP: answers connectivity checks as an ICE-lite agent (RFC 8445 section 2.5) that goes no further, so that
 * a browser's own statistics say how long each was on its way. Everybody may know the credentials: they make a check a
 * check, and nothing is to be had by one but its answer.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { Failure } from "#domain/failure.ts";
import { parseIp } from "#domain/ip-networks.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import type { Random } from "#platform/random.ts";
import { answerBinding, findFault, type StunCredentials, type StunFault } from "#platform/stun/binding.ts";

/** Of the credentials, in base64url without padding: 48 and 192 random bits (RFC 8445 section 5.3 asks for 24 and 128). */
const FRAGMENT_BYTES = 6;
const PASSWORD_BYTES = 24;

export interface UdpProbeEvents {
  udpProbeAnswered(): void;
  udpProbeRefused(fault: StunFault): void;
  udpProbesBroke(error: Error): void;
}

export interface UdpProbesOptions {
  readonly listen: Address;
  /** Where clients reach it, an IP address; where it listens if not given. */
  readonly address: Address | undefined;
  readonly random: Pick<Random, "bytes">;
  readonly events: UdpProbeEvents;
}

/** What a client needs to send checks, as an edge's answer to a probe has it. */
export interface UdpProbeTarget extends StunCredentials {
  readonly address: string;
  readonly port: number;
}

export interface UdpProbes extends AsyncDisposable {
  readonly target: UdpProbeTarget;
}

/** Throws `unavailable` where the address cannot be had, `config-invalid` where it is none that browsers send to. */
export async function startUdpProbes({ listen, address, random, events }: UdpProbesOptions): Promise<UdpProbes> {
  checkReachable((address ?? listen).host);
  const textOf = (bytes: number): string => Buffer.from(random.bytes(bytes)).toString("base64url");
  const credentials = { fragment: textOf(FRAGMENT_BYTES), password: textOf(PASSWORD_BYTES) };
  const socket = createSocket(listen.host.includes(":") ? "udp6" : "udp4");
  socket.on("message", (message, from) => answer(socket, { message, from }, credentials, events));
  await bind(socket, listen);
  socket.on("error", events.udpProbesBroke);
  const { host, port } = address ?? { host: listen.host, port: socket.address().port };
  return {
    target: { address: host, port, ...credentials },
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, "close");
    },
  };
}

/** Candidates of ICE have addresses: names are not looked up, and the one of all interfaces is nobody's. */
function checkReachable(host: string): void {
  const ip = parseIp(host);
  if (ip !== undefined && ip.bits !== 0n) return;
  const message = `probe.address must be the IP address and port where clients reach probe.listen, got ${host}`;
  throw new Failure("config-invalid", message);
}

function answer(
  socket: Socket,
  { message, from }: { readonly message: Buffer; readonly from: RemoteInfo },
  credentials: StunCredentials,
  { udpProbeAnswered, udpProbeRefused }: UdpProbeEvents,
): void {
  const fault = findFault(message, credentials);
  if (fault !== undefined) {
    udpProbeRefused(fault);
    return;
  }
  // What cannot be sent is lost, as any datagram may be.
  socket.send(answerBinding(message, from, credentials.password), from.port, from.address, () => undefined);
  udpProbeAnswered();
}

function bind(socket: Socket, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error): void => {
      reject(
        new Failure("unavailable", `cannot listen on ${formatAddress({ host, port })}: ${cause.message}`, { cause }),
      );
    };
    socket.once("error", onError);
    socket.bind(port, host, () => {
      socket.off("error", onError);
      resolve();
    });
  });
}
