/** Asks for a URL's status without following it; names below `localhost` are this machine, whatever the resolver knows. */
import { request } from "node:http";

export interface Asked {
  readonly status: number;
  readonly location: string | undefined;
}

/** Throws when nothing answers before the signal is aborted. */
export function ask(url: URL, signal: AbortSignal): Promise<Asked> {
  const { promise, resolve, reject } = Promise.withResolvers<Asked>();
  // RFC 6761 section 6.3; a minimal resolver does not know it.
  const host = url.hostname.endsWith(".localhost") ? "127.0.0.1" : url.hostname;
  const options = { host, port: url.port, path: url.pathname + url.search, headers: { host: url.host }, agent: false };
  request({ ...options, signal }, (response) => {
    response.resume();
    response.on("end", () => resolve({ status: response.statusCode ?? 0, location: response.headers.location }));
    response.on("error", reject);
  })
    .on("error", reject)
    .end();
  return promise;
}
