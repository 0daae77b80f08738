/** `perigee edge`: a stand-alone caching reverse proxy, until it is interrupted. */
import { once } from "node:events";
import type { Command } from "commander";
import { Failure } from "#domain/failure.ts";
import { PROCESSES_MAX } from "#edge-node/process-count.ts";
import { startStandalone } from "#edge-node/standalone-proxy.ts";
import { formatAddress, parseAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { type AccessOptions, accessOf, withAccessOptions } from "./edge-access.ts";
import { type TlsFlags, tlsOf, withTlsOptions } from "./edge-tls.ts";
import type { CommandSession } from "./session.ts";

interface EdgeOptions extends AccessOptions, TlsFlags {
  readonly listen: string;
  readonly upstream: string;
  readonly memoryBytes: string;
  readonly store?: string;
  readonly diskBytes: string;
  readonly maxStale?: string;
  readonly shareSetCookie: readonly string[];
  readonly admin?: string;
  readonly compress?: true;
  readonly accessLog: string;
  readonly processes: string;
}

export function addEdge(program: Command, session: CommandSession): void {
  const command = program
    .command("edge")
    .description("a stand-alone caching reverse proxy in front of one upstream")
    .requiredOption("--listen <host:port>", "where user agents come to; port 0 takes a free one")
    .requiredOption("--upstream <url>", "the origin server: http://host[:port], without a path")
    .option("--memory-bytes <count>", "responses kept in memory", String(256 * 1024 * 1024))
    .option("--store <folder>", "keep responses on disk too, over restarts")
    .option("--disk-bytes <count>", "what they may take there", String(10 * 1024 ** 3))
    .option(
      "--max-stale <seconds>",
      "how long past its freshness any response may be served when the upstream fails (else as each response allows)",
    )
    .option(
      "--share-set-cookie <path...>",
      "paths, or prefixes ending in *, whose responses are stored although they set cookies",
      [],
    )
    .option("--compress", "compress what is worth it: br, zstd and gzip, each once")
    .option("--access-log <file>", "a JSON line a request: a file, - for standard output, or off", "off")
    .option("--processes <count>", `that answer at the same port, over one store (1 to ${PROCESSES_MAX})`, "1")
    .option("--admin <host:port>", "/metrics, /healthz and /readyz")
    .addHelpText(
      "after",
      "\nExample:\n  perigee edge --listen 127.0.0.1:7420 --upstream http://127.0.0.1:8080 --store ./cache",
    );
  withTlsOptions(withAccessOptions(command)).action(async (options: EdgeOptions) => {
    const logger = createLogger({ program: "edge", level: "warn", destination: { write: session.output.note } });
    const tls = tlsOf(options);
    await using edge = await startStandalone({
      listen: parseAddress(options.listen),
      upstream: parseUpstream(options.upstream),
      memoryBytesMax: parseCount("--memory-bytes", options.memoryBytes, 1),
      ...(options.store === undefined
        ? {}
        : { disk: { folder: options.store, bytesMax: parseCount("--disk-bytes", options.diskBytes, 1) } }),
      ...(options.maxStale === undefined ? {} : { maxStaleSeconds: parseCount("--max-stale", options.maxStale, 0) }),
      rules: options.shareSetCookie.map((path) => ({ path, shareSetCookie: true })),
      access: accessOf(options),
      compress: options.compress === true,
      accessLog: options.accessLog,
      processes: parseCount("--processes", options.processes, 1, PROCESSES_MAX),
      ...(tls === undefined ? {} : { tls }),
      ...(options.admin === undefined ? {} : { admin: parseAddress(options.admin) }),
      clock: systemClock,
      random: systemRandom,
      logger,
    });
    session.output.line(`serving ${options.upstream} on http://${formatAddress(edge.address)}`);
    if (edge.tls !== undefined) session.output.line(`and on https://${formatAddress(edge.tls.address)}`);
    using _reload = session.onHangUp?.(() => {
      edge.reopenLog();
      void edge.tls?.reload();
    });
    if (!session.signal.aborted) await once(session.signal, "abort");
  });
}

function parseUpstream(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.pathname === "/" && url.search === "") return url;
  throw new Failure(
    "argument-invalid",
    `--upstream must be http://host[:port] or https://host[:port], without a path, got ${JSON.stringify(text)}`,
  );
}

function parseCount(flag: string, text: string, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= min && count <= max) return count;
  const bounds = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
  throw new Failure("argument-invalid", `${flag} must be a whole number ${bounds}, got ${JSON.stringify(text)}`);
}
