/** Starts and stops a listening server with promises. */
import type { Server } from "node:net";
import { Failure } from "#domain/failure.ts";
import { type Address, formatAddress } from "../address.ts";

/** Whether other processes of this user listen at the same port: each connection is then given to one of them. */
export interface PortSharing {
  readonly reusePort?: boolean;
}

/** Resolves with the address in use; throws `unavailable` naming the address that cannot be had. */
export function listen(server: Server, { host, port }: Address, sharing: PortSharing = {}): Promise<Address> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error) =>
      reject(
        new Failure("unavailable", `cannot listen on ${formatAddress({ host, port })}: ${cause.message}`, { cause }),
      );
    server.once("error", onError);
    server.listen({ port, host, ...sharing }, () => {
      server.off("error", onError);
      const bound = server.address();
      resolve({ host, port: typeof bound === "object" && bound !== null ? bound.port : port });
    });
  });
}

/** Takes no new connections, ends the idle and then the rest. */
export function closeServer(server: Server & { closeAllConnections?: () => void }): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) return resolve();
    server.close(() => resolve());
    server.closeAllConnections?.();
  });
}
