/** What an edge-node holds: identity, the pool's set, releases, stored responses, reports; all opened without the network. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { PurgeSpec } from "#domain/content/purge.ts";
import type { SiteSpec } from "#domain/content/site.ts";
import { type Failure, isFailure } from "#domain/failure.ts";
import type { RevocationSpec } from "#domain/fleet/revocation.ts";
import type { Clock } from "#platform/clock.ts";
import { authorityKeysOf } from "#platform/identity/certificates.ts";
import { type EnrolmentCalls, type NodeIdentity, openNodeIdentity } from "#platform/identity/node-identity.ts";
import { serverNameOf } from "#platform/identity/peer.ts";
import type { Logger } from "#platform/logging.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";
import { OriginAddresses } from "#platform/origin-addresses.ts";
import type { Random } from "#platform/random.ts";
import { type Database, openOrBeginAgain } from "#platform/sqlite/database.ts";
import type { AccessGate } from "./access/access-gate.ts";
import { createAccessEvents } from "./access/events.ts";
import { SiteGates } from "./access/site-gates.ts";
import { trustedProxiesOf } from "./access/trusted-proxies.ts";
import { ruleFor } from "./caching/rules.ts";
import { Compressor } from "./compression/compressor.ts";
import { createCompressionEvents } from "./compression/events.ts";
import type { EdgeConfig } from "./config.ts";
import { APPLIED_PURGES_MIGRATIONS, AppliedPurges } from "./desired-state/applied-purges.ts";
import { keepCrashEvidence } from "./desired-state/crash-evidence.ts";
import { isRevoked, viewOf } from "./desired-state/desired-view.ts";
import { POOL_SET_MIGRATIONS, PoolSet, type PoolSetOptions } from "./desired-state/pool-set.ts";
import { SetInForce } from "./desired-state/set-in-force.ts";
import { Trial, type TrialOutcome } from "./desired-state/trial.ts";
import { createEdgeEvents, createStoreEvents } from "./events.ts";
import { StoredHits } from "./front/stored-hits.ts";
import { LinkState } from "./link/link-state.ts";
import { OriginTime } from "./link/origin-time.ts";
import { createNodeEvents, type DamagedState, type NodeEvents } from "./node-events.ts";
import { createTierEvents, type TierEvents } from "./pool/events.ts";
import { Tiers } from "./pool/tiers.ts";
import { BlobFetcher } from "./prefetch/blob-fetcher.ts";
import { BlobSource } from "./prefetch/blob-source.ts";
import { ACTIVE_RELEASES_MIGRATIONS, ActiveReleases } from "./published/active-releases.ts";
import { BlobFolder } from "./published/blob-folder.ts";
import { hostTable } from "./published/hosts.ts";
import { ObjectMemory } from "./published/object-memory.ts";
import { ReleaseKeeper, type ReleaseKeeperOptions } from "./published/release-keeper.ts";
import { type PullFlow, PullSites } from "./pull-sites.ts";
import { REPORT_QUEUE_MIGRATIONS, type Report, ReportQueue } from "./reports/report-queue.ts";
import { RequestFlow } from "./request/flow.ts";
import { siteWebOrigin } from "./request/site-web-origin.ts";
import { SyncState } from "./status/sync-state.ts";
import { openResponseStore, type ResponseStore } from "./store/response-store.ts";
import { UpstreamClient } from "./upstream/upstream-client.ts";
import { SiteTallies } from "./usage/site-tallies.ts";
import { UsageReports } from "./usage/usage-reports.ts";

/** Between two parts of an upstream's body; a person has given up by then. */
const UPSTREAM_IDLE_MS_MAX = 10_000;
/** Of what was new in a set that crashed. */
const REPORTED_MAX = 50;
/** A queue of reports that cannot be written would end each link; what is told of purges is told again. */
const LOST_SOONER_THAN_STUCK: ReadonlySet<DamagedState> = new Set(["reports", "purges"]);
const ORIGIN_SERVER_NAME = serverNameOf({ role: "origin", name: "origin" });

export interface EdgeTools {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly softwareVersion: string;
  /** Ends the wait for an origin at the first start. */
  readonly signal: AbortSignal;
}

type EdgeOrigins = OriginAddresses<"enrolment" | "nodeRpc" | "delivery">;

export type EdgeParts = Awaited<ReturnType<typeof openEdgeParts>>;

/** `onTrial` is called before anything of the set is read: who ends this start in order says so to the trial. */
export async function openEdgeParts(
  config: EdgeConfig,
  tools: EdgeTools,
  stack: AsyncDisposableStack,
  onTrial: (trial: Trial) => void,
) {
  const { dataDir } = config;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const origins = originsOf(config, tools);
  const identity = stack.use(await openIdentity(config, tools, origins));
  const metrics = createMetrics("edge-node");
  const events = createNodeEvents(tools.logger, metrics);
  const load = <T>(name: DamagedState, migrations: readonly string[], build: (database: Database) => T): T =>
    openOrBeginAgain(
      join(dataDir, `${name}.sqlite`),
      { migrations, durability: "full", isChecked: LOST_SOONER_THAN_STUCK.has(name) },
      (database) => {
        const built = build(database);
        stack.use(database);
        return built;
      },
      (failure) => events.storedDamaged(name, failure),
    );
  const { set, trial, outcome } = load("desired", POOL_SET_MIGRATIONS, (database) => {
    const counted = new Trial(database, keepCrashEvidence(dataDir));
    const begun = counted.begin(events.storageFailed);
    onTrial(counted);
    return { set: new PoolSet(database, setTrustOf(identity), counted), trial: counted, outcome: begun };
  });
  origins.learnFrom(set);
  if (set.damage !== undefined) events.storedDamaged("desired", set.damage);
  const queue = { ...tools, bytesMax: config.reports.diskBytesMax, events };
  const reports = stack.use(load("reports", REPORT_QUEUE_MIGRATIONS, (database) => new ReportQueue(database, queue)));
  const link = stack.use(await LinkState.open(join(dataDir, "last-linked"), tools.clock, events.storageFailed));
  const half = (bytes: number) => Math.floor(bytes / 2);
  const store = stack.use(
    await openResponseStore({
      folder: join(dataDir, "responses"),
      diskBytesMax: half(config.store.diskBytesMax),
      memoryBytesMax: half(config.store.memoryBytesMax),
      ...tools,
      events: createStoreEvents(tools.logger, metrics),
    }),
  );
  const originTime = new OriginTime(tools.clock);
  const held = { ...tools, origins, identity, metrics, events, set, reports, link, originTime, store };
  const memory = new ObjectMemory(half(config.store.memoryBytesMax));
  const folder = await BlobFolder.open(join(dataDir, "objects"), half(config.store.diskBytesMax));
  const publishKeys = () => identity.trust.publishKeys;
  const onRelease = {
    goBack: outcome.kind === "went-back" ? outcome.to : undefined,
    beforeChange: () => trial.open(),
  };
  const active = load(
    "releases",
    ACTIVE_RELEASES_MIGRATIONS,
    (database) => new ActiveReleases(database, publishKeys, onRelease),
  );
  if (outcome.kind === "went-back") inStorage(events, () => trial.settle());
  for (const failure of active.damaged) events.storedDamaged("releases", failure);
  const openPurges = (database: Database) => new AppliedPurges(database, events.storageFailed);
  const purges = load("purges", APPLIED_PURGES_MIGRATIONS, openPurges);
  const incarnation = tools.random.uuid();
  const usage = countUsage(config, { ...held, incarnation }, stack);
  const opened = { ...held, trial, memory, folder, active, purges, incarnation, usage };
  tellOutcome(opened, outcome);
  return assemble(config, opened, stack);
}

function countUsage(
  { reports: { usageSeconds } }: EdgeConfig,
  parts: Pick<Held, "clock" | "random" | "reports" | "originTime" | "events" | "incarnation">,
  stack: AsyncDisposableStack,
): SiteTallies {
  const tallies = new SiteTallies();
  const nowMs = () => parts.originTime.nowMs();
  stack.use(new UsageReports({ ...parts, tallies, nowMs, everyMs: usageSeconds * 1000 }));
  return tallies;
}

function originsOf({ origin: { others, ...first } }: EdgeConfig, { random }: EdgeTools): EdgeOrigins {
  return new OriginAddresses([first, ...others], random);
}

/** Whose batches and epochs are believed: as it is when they are read. */
function setTrustOf(identity: NodeIdentity): PoolSetOptions {
  return {
    pool: identity.peer.pool,
    keys: () => identity.trust.streamKeys,
    epoch: () => identity.trust.epoch,
    mints: (cross) => authorityKeysOf(identity.trust.authorities, cross),
  };
}

interface Held extends EdgeTools {
  readonly origins: EdgeOrigins;
  readonly identity: NodeIdentity;
  readonly metrics: ReturnType<typeof createMetrics>;
  readonly events: NodeEvents;
  readonly set: PoolSet;
  readonly trial: Trial;
  readonly reports: ReportQueue;
  readonly link: LinkState;
  readonly originTime: OriginTime;
  readonly store: ResponseStore;
  readonly memory: ObjectMemory;
  readonly folder: BlobFolder;
  readonly active: ActiveReleases;
  readonly purges: AppliedPurges;
  readonly incarnation: string;
  readonly usage: SiteTallies;
}

/** What follows the set, brought to it as it is stored. */
function assemble(config: EdgeConfig, held: Held, stack: AsyncDisposableStack) {
  const { set, identity, events, store } = held;
  const tierEvents = createTierEvents(held.logger, held.metrics);
  const tiers = stack.use(openTiers(config, held, tierEvents));
  const fetcher = openFetcher({ ...held, tiers, tierEvents }, stack);
  const changed = new Set<() => void>();
  const sync = new SyncState({ quarantine: () => held.trial.quarantine, damage: () => set.damage });
  held.metrics.beforeRender(() => events.synced(sync.now().status));
  const tellChange = (): void => {
    for (const listener of changed) listener();
  };
  const inForce = new SetInForce({ set, store, onApplied: events.applied, onLate: tellChange });
  const fillBytesPerSecond = () => view.fillBytesPerSecond;
  const keeper = stack.use(openKeeper(held, { fetcher, inForce, fillBytesPerSecond }, tellChange));
  let applied = set.resourcesWithOrders;
  let view = viewOf(applied, identity.peer.pool);
  let hosts = hostTable([], config.hostname);
  const edgeEvents = createEdgeEvents(held.logger, held.metrics);
  const compressor = new Compressor({ store, events: createCompressionEvents(held.logger, held.metrics) });
  const gates = openGates(config, held);
  const gateOf = (name: string): AccessGate | undefined => {
    const site = view.sites.get(name);
    return site && gates.get(site);
  };
  const offlineOf = (name: string) => view.sites.get(name)?.offline;
  const pullParts = { ...held, edgeEvents, compressor, tiers, gateOf, offlineOf };
  const pulls = stack.use(new PullSites((name, spec) => openPullFlow(pullParts, name, spec)));
  const purge = (spec: PurgeSpec): void => {
    void store.purge(spec);
    pulls.get(spec.site)?.purged();
  };
  const applySet = (): void => {
    const before = view.sites;
    applied = set.resourcesWithOrders;
    view = viewOf(applied, identity.peer.pool);
    hosts = hostTable(view.sites.values(), config.hostname);
    if (set.ordersEpoch !== undefined) held.purges.apply(set.ordersEpoch, view.purges, purge);
    tiers.update();
    gates.update(view.sites);
    pulls.update(view.sites);
    keeper.update(view.sites, set.watermark !== undefined);
    inForce.applied(before, view.sites);
  };
  applySet();
  return {
    ...held,
    sync,
    fetcher,
    keeper,
    pulls,
    tiers,
    tierEvents,
    gates,
    edgeEvents,
    applySet,
    /** What a set that was refused has ordered. */
    applyOrders: () => {
      if (set.resourcesWithOrders !== applied) applySet();
    },
    inForce,
    note: (report: Report) => note(held, report),
    view: () => view,
    siteOf: (host: string | undefined) => view.sites.get(hosts.siteOf(host) ?? ""),
    isRevoked: (subject: RevocationSpec["subject"]) => isRevoked(set.resourcesWithOrders, subject),
    tellChange,
    onChange: (listener: () => void) => void changed.add(listener),
  };
}

interface Keeping extends Pick<ReleaseKeeperOptions, "fetcher" | "fillBytesPerSecond"> {
  readonly inForce: SetInForce;
}

function openKeeper(held: Held, { inForce, ...keeping }: Keeping, onChange: () => void): ReleaseKeeper {
  const { events, identity, originTime } = held;
  return new ReleaseKeeper({
    ...held,
    ...keeping,
    nowMs: () => originTime.nowMs(),
    publishKeys: () => identity.trust.publishKeys,
    events: {
      ...events,
      activated(site, generation) {
        inForce.activated(site);
        events.activated(site, generation);
      },
      releaseRefused: (name, failure) => refuse(held, name, failure),
    },
    onChange,
  });
}

function openFetcher(held: Held & Filling, stack: AsyncDisposableStack): BlobFetcher {
  const { origins, identity, clock, folder, events, tiers, tierEvents, usage } = held;
  const stopping = new AbortController();
  stack.defer(() => stopping.abort());
  const addresses = () => origins.addresses("delivery");
  const tls = () => identity.clientTls(ORIGIN_SERVER_NAME);
  const source = stack.use(new BlobSource({ addresses, tls, clock }));
  return new BlobFetcher({
    ...{ folder, clock, siblings: tiers.blobs, signal: stopping.signal },
    events: {
      ...tierEvents,
      filled(from, bytes, site) {
        tierEvents.filled(from, bytes);
        if (site !== undefined) usage.fetched(site, from === "origin" ? "originBytes" : "peerBytes", bytes);
      },
    },
    origin: (digest, offset, signal, end) => source.open(digest, offset, signal, end),
    fetched: events.fetched,
    fetchFailed: events.fetchFailed,
  });
}

interface Filling {
  readonly tiers: Tiers;
  readonly tierEvents: TierEvents;
}

function openGates({ trustedProxies }: EdgeConfig, { clock, logger, metrics }: Held): SiteGates {
  const proxies = trustedProxies && trustedProxiesOf(trustedProxies.field, trustedProxies.networks);
  return new SiteGates({ clock, events: createAccessEvents(logger, metrics), ...(proxies && { proxies }) });
}

function openTiers({ hostname }: EdgeConfig, held: Held, events: TierEvents): Tiers {
  const { set, purges } = held;
  return new Tiers({
    ...held,
    resources: () => set.resourcesWithOrders,
    applied: () => purges.mark,
    ownId: hostname.toLowerCase(),
    events,
  });
}

function refuse(held: Held, release: string, failure: Failure): void {
  held.events.releaseRefused(release, failure);
  const { code, message } = failure;
  const id = `release-refused/${release}/${code}`;
  note(held, { id, kind: "release-refused", value: { release, code, message } });
}

/** Durable before anything is read that could end this start too. */
function tellOutcome(held: Held, outcome: TrialOutcome): void {
  const { events, trial, incarnation } = held;
  if (outcome.kind === "crashed") events.crashedOnTrial(outcome.crashes);
  if (outcome.kind !== "went-back") return;
  const { quarantine } = trial;
  events.returnedToProven(outcome.to, quarantine);
  note(held, {
    id: `returned-to-proven/${incarnation}`,
    kind: "returned-to-proven",
    value: {
      what: outcome.to,
      ...(quarantine && { ...quarantine, suspects: quarantine.suspects.slice(0, REPORTED_MAX) }),
    },
  });
  held.reports.commit();
}

/** Of what goes on whether it is reported or not: a report that cannot be kept is counted as a storage failure. */
function note({ events, reports }: Pick<Held, "events" | "reports">, report: Report): void {
  reports.push(report).catch((error: unknown) => {
    if (!isFailure(error)) throw error;
    events.storageFailed(error);
  });
}

/** What the disk refuses is told: nobody who is served waits for it. */
function inStorage({ storageFailed }: Pick<NodeEvents, "storageFailed">, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!isFailure(error)) throw error;
    storageFailed(error);
  }
}

interface PullParts extends Pick<Held, "clock" | "random" | "store" | "link" | "usage"> {
  readonly edgeEvents: ReturnType<typeof createEdgeEvents>;
  /** Of all sites that want it. */
  readonly compressor: Compressor;
  readonly tiers: Tiers;
  /** `undefined` once the site is gone. */
  readonly gateOf: (site: string) => AccessGate | undefined;
  readonly offlineOf: (
    site: string,
  ) => { readonly maxStaleSeconds?: number; readonly denyAfterSeconds?: number } | undefined;
}

function openPullFlow(
  { clock, random, store, link, usage, edgeEvents, compressor, tiers, gateOf, offlineOf }: PullParts,
  site: string,
  spec: SiteSpec,
): PullFlow {
  const { upstream: url = "", connectTimeoutMs = 0, responseTimeoutMs = 0 } = spec.pull ?? {};
  const limits = { connectMsMax: connectTimeoutMs, headMsMax: responseTimeoutMs, idleMsMax: UPSTREAM_IDLE_MS_MAX };
  const client = new UpstreamClient({ url: new URL(url), clock, random, ...limits });
  const staleBounds = () => {
    const cutOffSeconds = link.cutOffMs / 1000;
    const offline = cutOffSeconds > 0 ? offlineOf(site) : undefined;
    const offlineSeconds = offline?.maxStaleSeconds ?? Number.POSITIVE_INFINITY;
    const { maxStaleSeconds } = spec.cache ?? {};
    const named = maxStaleSeconds === undefined ? {} : { maxStaleSeconds: Math.min(maxStaleSeconds, offlineSeconds) };
    const { denyAfterSeconds } = offline ?? {};
    return {
      ...named,
      disconnectedStaleSeconds: offlineSeconds,
      cutOffSeconds,
      ...(denyAfterSeconds === undefined ? {} : { denyAfterSeconds }),
    };
  };
  const { rules = [] } = spec.cache ?? {};
  const isBypassed = (target: string) => ruleFor(rules, target).bypass === true;
  const onBytes = (from: "upstreamBytes" | "peerBytes", bytes: number) => usage.fetched(site, from, bytes);
  const upstream = tiers.upstreamFor({ site, upstream: client, isBypassed, headMsMax: responseTimeoutMs, onBytes });
  const compression = spec.cache?.compress === true ? { compressor } : {};
  const webOriginOf = (asked: string) => siteWebOrigin(asked, spec.hostnames);
  const parts = { upstream, store, site, clock, events: edgeEvents, staleBounds, rules, webOriginOf };
  const flow = new RequestFlow({ ...parts, ...compression });
  const isCompressed = spec.cache?.compress === true;
  const hits = new StoredHits({
    ...{ store, site, rules, webOriginOf },
    select: isCompressed ? (stored, asked) => compressor.selectInMemory(stored, asked) : undefined,
    isOpen: () => gateOf(site)?.isSigned === false,
    admit: ({ remoteAddress, fields }) => gateOf(site)?.take(remoteAddress, fields) === true,
  });
  return {
    hits,
    async handle(incoming, response, asker) {
      return tiers.refuseLoop(incoming, response) ? "refused" : await flow.handle(incoming, response, asker);
    },
    purged: () => flow.purged(),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

/** The first start waits for the origin; later ones do not need it. */
async function openIdentity(config: EdgeConfig, tools: EdgeTools, origins: EdgeOrigins): Promise<NodeIdentity> {
  return openNodeIdentity({
    ...tools,
    folder: join(config.dataDir, "identity"),
    role: "edge",
    name: config.name,
    ...(config.join === undefined ? {} : { join: config.join }),
    get enrolment() {
      return origins.addresses("enrolment");
    },
    connect: lazyEnrolment,
  });
}

/** Joining and renewing are rare, and what speaks gRPC is large: loaded then. */
const lazyEnrolment = (
  ...[address, tls]: Parameters<Parameters<typeof openNodeIdentity>[0]["connect"]>
): EnrolmentCalls => {
  const opened = Promise.all([
    import("#platform/grpc/client.ts"),
    import("#contracts/generated/perigee/v1/enrolment_pb.js"),
  ]);
  const client = opened.then(([{ createGrpcClient }, { Enrolment }]) => createGrpcClient(Enrolment, { address, tls }));
  return {
    enrol: async (request, limits) => (await client).enrol(request, limits),
    renew: async (request, limits) => (await client).renew(request, limits),
    [Symbol.dispose]: () => void client.then((calls) => calls[Symbol.dispose]()),
  };
};
