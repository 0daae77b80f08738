/** The stand-alone caching reverse proxy: one upstream, one store, one listener. */
import { createServer } from "node:http";
import type { CacheRule } from "#domain/content/site.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import { startAdminListener } from "#platform/http/admin-listener.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import type { Logger } from "#platform/logging.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";
import type { Random } from "#platform/random.ts";
import { AccessGate, type AccessRules } from "./access/access-gate.ts";
import { createAccessEvents } from "./access/events.ts";
import { createEdgeEvents, createStoreEvents } from "./events.ts";
import { RequestFlow } from "./request/flow.ts";
import { openResponseStore } from "./store/response-store.ts";
import { UpstreamClient } from "./upstream/upstream-client.ts";

/** What responses are stored under, there being one upstream. */
const SITE = "standalone";
/** A person has given up by then. */
const UPSTREAM_CONNECT_MS_MAX = 2000;
const UPSTREAM_HEAD_MS_MAX = 10_000;
const UPSTREAM_IDLE_MS_MAX = 10_000;
const REQUEST_HEAD_BYTES_MAX = 16 * 1024;
const REQUEST_HEAD_MS_MAX = 10_000;
const CONNECTIONS_MAX = 8192;
const CONNECTION_IDLE_MS_MAX = 60_000;

export interface StandaloneOptions {
  readonly listen: Address;
  readonly upstream: URL;
  readonly admin?: Address;
  readonly memoryBytesMax: number;
  /** Where stored responses survive a restart. */
  readonly disk?: { readonly folder: string; readonly bytesMax: number };
  readonly maxStaleSeconds?: number;
  readonly rules?: readonly CacheRule[];
  readonly access?: Omit<AccessRules, "site">;
  readonly random: Random;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Standalone extends AsyncDisposable {
  readonly address: Address;
  readonly admin?: Address;
}

export async function startStandalone(options: StandaloneOptions): Promise<Standalone> {
  const { clock, logger } = options;
  await using stack = new AsyncDisposableStack();
  const metrics = createMetrics("edge-node");
  const events = createEdgeEvents(logger, metrics);
  const limits = {
    connectMsMax: UPSTREAM_CONNECT_MS_MAX,
    headMsMax: UPSTREAM_HEAD_MS_MAX,
    idleMsMax: UPSTREAM_IDLE_MS_MAX,
  };
  const upstream = stack.use(new UpstreamClient({ url: options.upstream, clock, random: options.random, ...limits }));
  const store = stack.use(
    await openResponseStore({
      ...(options.disk === undefined ? {} : { folder: options.disk.folder }),
      diskBytesMax: options.disk?.bytesMax ?? 0,
      memoryBytesMax: options.memoryBytesMax,
      events: createStoreEvents(logger, metrics),
      random: options.random,
      clock,
    }),
  );
  const { maxStaleSeconds } = options;
  const staleBounds = () => (maxStaleSeconds === undefined ? {} : { maxStaleSeconds });
  const flow = new RequestFlow({ upstream, store, site: SITE, clock, events, staleBounds, rules: options.rules ?? [] });
  const gate = new AccessGate({
    ...options.access,
    site: SITE,
    clock,
    events: createAccessEvents(logger, metrics),
  });
  const strictness = { insecureHTTPParser: false, requireHostHeader: true, maxHeaderSize: REQUEST_HEAD_BYTES_MAX };
  const server = createServer({ ...strictness, headersTimeout: REQUEST_HEAD_MS_MAX }, (incoming, response) => {
    if (!gate.admit(incoming, response)) return;
    flow.handle(incoming, response).catch((error: unknown) => {
      events.broke(error);
      response.destroy();
    });
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.timeout = CONNECTION_IDLE_MS_MAX;
  const address = await listen(server, options.listen);
  stack.defer(() => closeServer(server));
  const readiness = () => ({ ready: true, reasons: [] });
  const admin =
    options.admin && stack.use(await startAdminListener({ address: options.admin, metrics, readiness })).address;
  logger.info({ address: formatAddress(address), upstream: options.upstream.origin }, "serving");
  const running = stack.move();
  return { address, ...(admin === undefined ? {} : { admin }), [Symbol.asyncDispose]: () => running.disposeAsync() };
}
