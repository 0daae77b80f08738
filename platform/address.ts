/** `host:port` as configuration writes it. Pure. */
import { Failure } from "#domain/failure.ts";

export interface Address {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** `127.0.0.1:7400`, `[::1]:7400`, `edge.example:80`; throws `argument-invalid`. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    throw new Failure(
      "argument-invalid",
      `an address must be HOST:PORT with a port of 0..65535, got ${JSON.stringify(text)}`,
    );
  }
  return { host, port };
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Plain listeners are for these only, unless configured by name. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
