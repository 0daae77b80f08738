/** Binds consecutive UDP ports, so that a range can be mapped to another by offset. */
import { createSocket, type Socket } from "node:dgram";
import { Failure } from "#domain/failure.ts";
import { type Address, formatAddress } from "../address.ts";

/** Free ports are picked by the system for the first of the range; the next ones may be taken. */
const RANGE_ATTEMPTS_MAX = 32;
const PORT_MAX = 65_535;

export function createUdpSocket(host: string): Socket {
  return createSocket(host.includes(":") ? "udp6" : "udp4");
}

export function bindUdp(socket: Socket, { host, port }: Address): Promise<number> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error): void => {
      const message = `cannot bind UDP ${formatAddress({ host, port })}: ${cause.message}`;
      reject(new Failure("unavailable", message, { cause }));
    };
    socket.once("error", onError);
    socket.bind({ address: host, port, exclusive: true }, () => {
      socket.off("error", onError);
      resolve(socket.address().port);
    });
  });
}

/** Sockets on `count` consecutive ports from `first`, or from a free one where that is 0. Throws `unavailable`. */
export async function bindUdpRange(first: Address, count: number): Promise<Socket[]> {
  for (let attempt = 1; ; attempt += 1) {
    const sockets: Socket[] = [];
    try {
      let next = first.port;
      for (let index = 0; index < count; index += 1) {
        const socket = createUdpSocket(first.host);
        sockets.push(socket);
        next = (await bindUdp(socket, { host: first.host, port: next })) + 1;
        if (next > PORT_MAX && index + 1 < count) throw new Failure("unavailable", "the UDP port range passes 65535");
      }
      return sockets;
    } catch (error) {
      for (const socket of sockets) socket.close();
      if (first.port !== 0 || attempt >= RANGE_ATTEMPTS_MAX) throw error;
    }
  }
}
