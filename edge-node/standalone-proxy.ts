/** The stand-alone caching reverse proxy: one upstream, one store, a listener in the clear and perhaps one for TLS. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { CacheRule } from "#domain/content/site.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import { startAdminListener } from "#platform/http/admin-listener.ts";
import type { Logger } from "#platform/logging.ts";
import { createMetrics, type Metrics } from "#platform/metrics/metrics.ts";
import type { Random } from "#platform/random.ts";
import { AccessGate, type AccessRules } from "./access/access-gate.ts";
import { createAccessEvents } from "./access/events.ts";
import { openAccessLog } from "./access-log/open-access-log.ts";
import { HttpChallenges } from "./certificates/http-challenges.ts";
import { Compressor } from "./compression/compressor.ts";
import { createCompressionEvents } from "./compression/events.ts";
import { type CacheOutcome, createEdgeEvents, createStoreEvents } from "./events.ts";
import { Front, startFrontListener } from "./front/front.ts";
import { StoredHits } from "./front/stored-hits.ts";
import type { TlsFront, TlsOptions, TlsTools } from "./front/tls/tls-front.ts";
import { LoopGuard } from "./pool/loop-guard.ts";
import type { Find } from "./processes/lending.ts";
import type { Processes, ProcessesOptions } from "./processes/start-processes.ts";
import { RequestFlow } from "./request/flow.ts";
import { openResponseStore } from "./store/response-store.ts";
import { UpstreamClient } from "./upstream/upstream-client.ts";

/** What responses are stored under, there being one upstream. */
const SITE = "standalone";
/** In CDN-Loop, with what tells this process from others: it has no name of its own. */
const LOOP_ID = "perigee";
/** A person has given up by then. */
const UPSTREAM_CONNECT_MS_MAX = 2000;
const UPSTREAM_HEAD_MS_MAX = 10_000;
const UPSTREAM_IDLE_MS_MAX = 10_000;

export interface StandaloneOptions {
  readonly listen: Address;
  readonly upstream: URL;
  readonly admin?: Address;
  readonly memoryBytesMax: number;
  /** Where stored responses survive a restart. */
  readonly disk?: { readonly folder: string; readonly bytesMax: number };
  readonly maxStaleSeconds?: number;
  readonly rules?: readonly CacheRule[];
  /** Whether what is worth it is compressed here. */
  readonly compress?: boolean;
  readonly access?: Omit<AccessRules, "site">;
  /** `off`, `-` for standard output, or a file. */
  readonly accessLog?: string;
  /** That answer, this one included: 1 where it is not given. */
  readonly processes?: number;
  /** A second listener, for TLS. */
  readonly tls?: TlsOptions;
  readonly random: Random;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Standalone extends AsyncDisposable {
  readonly address: Address;
  readonly admin?: Address;
  readonly tls?: Pick<TlsFront, "address" | "reload">;
  /** The access log goes on in a new file, where its own was moved. */
  reopenLog(): void;
}

interface Reporting {
  readonly metrics: Metrics;
  readonly events: ReturnType<typeof createEdgeEvents>;
}

/** Store, upstream and what decides between them, ended with the stack. */
async function openServing(options: StandaloneOptions, reporting: Reporting, stack: AsyncDisposableStack) {
  const { clock, logger } = options;
  const { metrics, events } = reporting;
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
  const { maxStaleSeconds, rules = [] } = options;
  const staleBounds = () => (maxStaleSeconds === undefined ? {} : { maxStaleSeconds });
  const compressor =
    options.compress === true ? new Compressor({ store, events: createCompressionEvents(logger, metrics) }) : undefined;
  const loops = new LoopGuard(`${LOOP_ID}-${options.random.uuid()}`);
  const parts = { store, site: SITE, clock, events, staleBounds, rules, compressor };
  const flow = new RequestFlow({ ...parts, upstream: loops.marking(upstream) });
  const gate = new AccessGate({
    ...options.access,
    site: SITE,
    clock,
    events: createAccessEvents(logger, metrics),
  });
  return { store, compressor, loops, flow, gate, rules };
}

export async function startStandalone(options: StandaloneOptions): Promise<Standalone> {
  const { clock, logger } = options;
  await using stack = new AsyncDisposableStack();
  const metrics = createMetrics("edge-node");
  const events = createEdgeEvents(logger, metrics);
  const serving = await openServing(options, { metrics, events }, stack);
  const { store, compressor, loops, flow, gate, rules } = serving;
  const challenges = new HttpChallenges();
  const handle = async (incoming: IncomingMessage, response: ServerResponse): Promise<CacheOutcome | undefined> => {
    if (challenges.answer(incoming, response)) return undefined;
    if (!gate.admit(incoming, response) || loops.refuse(incoming, response)) return "refused";
    return await flow.handle(incoming, response);
  };
  const { processes: count = 1 } = options;
  const log = await openAccessLog(options.accessLog ?? "off", { clock, events, isShared: count > 1 });
  if (log !== undefined) stack.use(log);
  const finder = new StoredHits({
    store,
    site: SITE,
    rules,
    select: compressor && ((stored, asked) => compressor.selectInMemory(stored, asked)),
    isOpen: () => !gate.isSigned,
    admit: ({ remoteAddress, fields }) => gate.take(remoteAddress, fields),
  });
  const front = new Front({ log, finder, clock, events, handle });
  stack.use(front);
  const { address } = stack.use(await startFrontListener(options.listen, front, count > 1 ? { reusePort: true } : {}));
  const tools = {
    front,
    handle: front.answer.bind(front),
    challenges,
    events,
    metrics,
    logger,
    clock,
    random: options.random,
    isShared: count > 1,
  };
  const tls = options.tls && stack.use(await startTls(options.tls, tools));
  const find: Find = (request, nowMs) => (gate.limiter === undefined ? finder.find(request, nowMs) : undefined);
  const parts = { ...tools, http: address, tls, store, find, accessLog: options.accessLog ?? "off", graceMs: 0 };
  const processes = count === 1 ? undefined : stack.use(await share({ ...parts, count }));
  const readiness = () => ({ ready: true, reasons: [] });
  const admin =
    options.admin && stack.use(await startAdminListener({ address: options.admin, metrics, readiness })).address;
  logger.info({ address: formatAddress(address), upstream: options.upstream.origin }, "serving");
  const running = stack.move();
  return {
    address,
    ...(admin === undefined ? {} : { admin }),
    ...(tls === undefined ? {} : { tls }),
    reopenLog() {
      log?.reopen();
      processes?.reopenLog();
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Loaded where there are several. */
async function share(options: ProcessesOptions): Promise<Processes> {
  return (await import("./processes/start-processes.ts")).startProcesses(options);
}

/** Loaded where it is used. A file that cannot be served is a mistake of whoever starts this: it ends the start. */
async function startTls(options: TlsOptions, tools: TlsTools): Promise<TlsFront> {
  const { startTlsFront } = await import("./front/tls/tls-front.ts");
  const tls = await startTlsFront(options, tools);
  const [refused] = tls.refused;
  if (refused === undefined) return tls;
  await tls[Symbol.asyncDispose]();
  throw refused;
}
