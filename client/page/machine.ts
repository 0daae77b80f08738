/** The one-machine start that a page of it may ask to kill what serves it. Pure, but for the asking (decision 0077). */
import type { ClientClock } from "../clock.ts";
import { requestJson } from "../http.ts";

export interface Machine {
  /** Scheme, host and port: always this machine. */
  readonly url: string;
  readonly token: string;
}

/** `#machine=PORT.TOKEN`, as `perigee dev` prints it. */
const FRAGMENT = /^#machine=(\d{1,5})\.([A-Za-z0-9_-]{43})$/;

/** `undefined` unless the page itself is on this machine: elsewhere an address with a fragment is somebody's trick. */
export function machineIn({ hostname, hash }: Pick<Location, "hostname" | "hash">): Machine | undefined {
  const [, port, token] = FRAGMENT.exec(hash) ?? [];
  const isHere = hostname === "localhost" || hostname === "127.0.0.1" || hostname.endsWith(".localhost");
  return isHere && port !== undefined && token !== undefined ? { url: `http://127.0.0.1:${port}`, token } : undefined;
}

/** Throws a `ClientFailure`. */
export async function killNode({ url, token }: Machine, name: string, clock: ClientClock): Promise<void> {
  await requestJson({ method: "POST", url: `${url}/page/kill/${encodeURIComponent(name)}`, bearer: token, clock });
}
