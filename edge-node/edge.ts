/** Puts an edge-node together: it serves what it holds first, then opens to its agents, then connects to the origin. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { Failure, isFailure } from "#domain/failure.ts";
import type { AgentStatus } from "#domain/fleet/node.ts";
import { type Address, formatAddress, parseAddress } from "#platform/address.ts";
import { startAdminListener } from "#platform/http/admin-listener.ts";
import { serverNameOf } from "#platform/identity/peer.ts";
import type { SealingKey } from "#platform/identity/sealing.ts";
import { openAccessLog } from "./access-log/open-access-log.ts";
import { HttpChallenges } from "./certificates/http-challenges.ts";
import { openSealingKey } from "./certificates/sealing-key.ts";
import type { EdgeConfig } from "./config.ts";
import { type ContentListener, type ContentRoutes, STOP_GRACE_MS, startContentListener } from "./content-listener.ts";
import { decideExpiry } from "./desired-state/applied-purges.ts";
import { resourcesOf } from "./desired-state/desired-view.ts";
import { Proof } from "./desired-state/proof.ts";
import type { Trial } from "./desired-state/trial.ts";
import { type EdgeParts, type EdgeTools, openEdgeParts } from "./edge-parts.ts";
import type { EdgeTls, startEdgeTls } from "./edge-tls.ts";
import { BlobServing } from "./pool/blob-serving.ts";
import type { Processes } from "./processes/start-processes.ts";
import { contentRoutes } from "./published/content-routes.ts";
import { openObject } from "./published/open-object.ts";
import { sendProblem } from "./published/problems.ts";
import { type OpenRelay, openRelay } from "./relay/open-relay.ts";
import type { Relay } from "./relay/relay.ts";
import type { OpenSessionDoor, SessionDoor } from "./session-port.ts";
import { NodeState } from "./status/node-state.ts";
import { showOfflineReadiness } from "./status/offline-metrics.ts";
import type { startEdgeDns } from "./steering/edge-dns.ts";
import { loadConnections } from "./upstream/upstream-client.ts";

const ORIGIN_SERVER_NAME = serverNameOf({ role: "origin", name: "origin" });

/** What the door needs keeps the thread for longer than this: who waited for content is answered before. */
const CONTENT_FIRST_MS = 100;

export interface RunningEdge extends AsyncDisposable {
  /** The access log goes on in a new file, where its own was moved. */
  readonly reload: () => void;
  readonly addresses: Readonly<Record<"content" | "admin", Address>> &
    Readonly<Partial<Record<"site" | "siteEnrolment" | "peer" | "tls" | "dns", Address>>>;
}

/** Without `openDoor` the edge serves content only. */
export async function startEdge(
  config: EdgeConfig,
  tools: EdgeTools,
  openDoor?: OpenSessionDoor,
): Promise<RunningEdge> {
  await using stack = new AsyncDisposableStack();
  let trial: Trial | undefined;
  try {
    const parts = await openEdgeParts(config, tools, stack, (begun) => {
      trial = begun;
      stack.use(noteCrash(begun));
    });
    return await serve(config, tools, parts, { openDoor, stack });
  } catch (error) {
    // What the machine or the configuration refuses is no crash that the set could be the reason of.
    if (isFailure(error)) trial?.close();
    else trial?.crashed();
    throw error;
  }
}

interface Serving {
  readonly openDoor: OpenSessionDoor | undefined;
  readonly stack: AsyncDisposableStack;
}

async function serve(
  config: EdgeConfig,
  tools: EdgeTools,
  parts: EdgeParts,
  { openDoor, stack }: Serving,
): Promise<RunningEdge> {
  let door: SessionDoor | undefined;
  const secrets = config.tls && (await openSecrets(config, parts));
  const state = stack.use(nodeStateOf(config, parts, { agents: () => door?.agentStatuses() ?? [], secrets }));
  showOfflineReadiness(parts.metrics, () => state.offlineReasons());
  const challenges = new HttpChallenges();
  const routes = contentRoutes(parts, (incoming, response) => {
    if (challenges.answer(incoming, response)) return true;
    if (door !== undefined) return door.handle(incoming, response);
    return openDoor !== undefined && isTooEarly(incoming, response);
  });
  const { clock } = tools;
  const isShared = config.processes > 1;
  const log = await openAccessLog(config.accessLog, { clock, events: parts.edgeEvents, isShared });
  if (log !== undefined) stack.use(log);
  const listening = { clock, log, usage: parts.usage, ...(isShared ? { sharing: { reusePort: true } } : {}) };
  const content = stack.use(await startContentListener(parseAddress(config.listen.content), routes, listening));
  const tlsTools = secrets && { front: content.front, challenges, isShared, dataDir: config.dataDir, ...secrets };
  const tls = tlsTools && stack.use(await listenForTls(tlsTools.config, parts, tlsTools));
  const proof = stack.use(proofOf(parts));
  const processes = isShared ? stack.use(await share(config, parts, { content, tls, routes })) : undefined;
  const onApplied = (): void => {
    challenges.replace([...resourcesOf(parts.set.resources, "AcmeChallenge")].map(({ spec }) => spec));
    tls?.applySet();
  };
  onApplied();
  const { relay, openRoute } = openRelay(parts);
  const peers = config.peer && stack.use(await listenToPeers(config.peer, parts, routes, relay));
  const dns = config.dns && stack.use(await listenToResolvers({ ...config, dns: config.dns }, parts));
  await tools.clock.sleep(CONTENT_FIRST_MS, tools.signal);
  door = openDoor && stack.use(await openDoor(portsOf(config, parts)));
  const admin = stack.use(
    await startAdminListener({
      address: parseAddress(config.listen.admin),
      metrics: parts.metrics,
      readiness: (question) => state.readiness(question),
    }),
  );
  await startLink(parts, { state, door, processes, onApplied, relay, openRoute }, stack);
  await loadConnections();
  const peer = peers === undefined ? {} : { peer: peers.address };
  const secure = { ...(tls && { tls: tls.address }), ...(dns && { dns: dns.address }) };
  const addresses = { content: content.address, admin: admin.address, ...peer, ...secure, ...door?.addresses };
  parts.events.listening(
    Object.fromEntries(Object.entries(addresses).map(([name, address]) => [name, formatAddress(address)])),
  );
  const running = stack.move();
  const reload = (): void => {
    log?.reopen();
    processes?.reopenLog();
    void tls?.reload();
  };
  const stop = (): Promise<void> => {
    proof.close();
    return running.disposeAsync();
  };
  return { addresses, reload, [Symbol.asyncDispose]: stop };
}

/** Until it is disposed: a process that exits before that was not stopped in order. */
function noteCrash(trial: Trial): Disposable {
  const note = (): void => trial.crashed();
  process.once("exit", note);
  return { [Symbol.dispose]: () => process.off("exit", note) };
}

function proofOf({ clock, trial, set, active, events }: EdgeParts): Proof {
  const told = { onProven: events.proven, onFailed: events.storageFailed };
  return new Proof({ clock, trial, set, releases: active, ...told });
}

/** Loaded where it is configured. */
async function listenForTls(...options: Parameters<typeof startEdgeTls>): Promise<EdgeTls> {
  return (await import("./edge-tls.ts")).startEdgeTls(...options);
}

interface Shared {
  readonly content: ContentListener;
  readonly tls: EdgeTls | undefined;
  readonly routes: ContentRoutes;
}

/** Loaded where there are several. */
async function share(config: EdgeConfig, parts: EdgeParts, { content, tls, routes }: Shared): Promise<Processes> {
  const { startProcesses } = await import("./processes/start-processes.ts");
  const processes = await startProcesses({
    ...parts,
    ...{ count: config.processes, http: content.address, front: content.front, tls, find: routes.lend },
    ...{
      events: { ...parts.edgeEvents, published: parts.events.published },
      accessLog: config.accessLog,
      graceMs: STOP_GRACE_MS,
    },
  });
  parts.inForce.shareWith(processes);
  return processes;
}

interface Secrets {
  readonly config: NonNullable<EdgeConfig["tls"]>;
  readonly sealingKey: SealingKey;
}

async function openSecrets(config: EdgeConfig, { events }: EdgeParts): Promise<Secrets | undefined> {
  if (config.tls === undefined) return undefined;
  const path = join(config.dataDir, "identity", "sealing.key");
  return { config: config.tls, sealingKey: await openSealingKey(path, events.storageFailed) };
}

/** Loaded where it is configured. */
async function listenToResolvers(config: Parameters<typeof startEdgeDns>[0], parts: EdgeParts) {
  return (await import("./steering/edge-dns.ts")).startEdgeDns(config, parts, heldOf(parts));
}

type PeerConfig = NonNullable<EdgeConfig["peer"]>;

async function listenToPeers(
  { listen, address }: PeerConfig,
  parts: EdgeParts,
  { denial }: ContentRoutes,
  relay: Relay,
) {
  const { RelayStreams } = await import("./relay/relay-stream.ts");
  const { tiers, pulls, view, keeper, tierEvents: events } = parts;
  const isDenied = (name: string) => {
    const site = view().sites.get(name);
    return site !== undefined && denial(site) !== undefined;
  };
  const blobs = new BlobServing({ ...parts, sizeWanted: (digest) => keeper.sizeWanted(digest), events });
  const streams = new RelayStreams(relay, parts.clock);
  const flowOf = (site: string) => pulls.get(site);
  return await tiers.listen(parseAddress(listen), address, { flowOf, isDenied, blobs, streams });
}

/** Content is served before the door is open; what only the door answers is tried again in a moment. */
function isTooEarly(incoming: IncomingMessage, response: ServerResponse): boolean {
  if (incoming.url?.startsWith("/.perigee/") !== true) return false;
  response.setHeader("access-control-allow-origin", "*");
  sendProblem(response, new Failure("unavailable", "the edge has just started: try again", { retryable: true }));
  return true;
}

/** What answers without the origin. */
function heldOf({ link, keeper, pulls }: EdgeParts) {
  return {
    isCutOff: () => !link.isUp,
    isServed: (site: string) => keeper.isHeld(site) || pulls.get(site) !== undefined,
  };
}

function portsOf(config: EdgeConfig, parts: EdgeParts) {
  return {
    ...parts,
    config,
    ...heldOf(parts),
    openObject: (digest: string, offset: number) => openObject(parts, digest, offset),
    prefetchFile: (file: { readonly site: string; readonly path: string }) => parts.keeper.prefetchFile(file),
    onAgentsChanged: parts.tellChange,
  };
}

interface StateUsers {
  readonly agents: () => readonly AgentStatus[];
  readonly secrets: Secrets | undefined;
}

function nodeStateOf(config: EdgeConfig, parts: EdgeParts, { agents, secrets }: StateUsers): NodeState {
  const sealingKey = secrets && Buffer.from(secrets.sealingKey.publicKey).toString("base64");
  const { clock, set, trial, identity, folder, store, keeper } = parts;
  return new NodeState({
    incarnation: parts.incarnation,
    softwareVersion: parts.softwareVersion,
    contentUrl: config.contentUrl,
    hostname: config.hostname,
    peerAddress: () => parts.tiers.address,
    sealingKey: () => sealingKey,
    dataDir: config.dataDir,
    clock,
    set: () => ({
      watermark: parts.inForce.watermark,
      isWhole: set.damage === undefined,
      isUnpersisted: set.isUnpersisted,
      isEmpty: set.resources.size === 0 && set.watermark === undefined,
    }),
    provenRevision: () => (trial.proven?.epoch === set.watermark?.epoch ? trial.proven?.revision : undefined),
    synced: () => parts.sync.now(),
    autonomySeconds: () => parts.view().autonomySeconds,
    certificateExpiresAtMs: () => identity.expiresAtMs,
    clockOffsetMs: () => parts.originTime.offsetMs,
    storeBytes: () => ({ used: folder.bytesUsed + store.usage().bytes, max: config.store.diskBytesMax }),
    sites: () => keeper.statuses(),
    incompleteSites: () => keeper.incomplete(),
    waitingFor: () => parts.fetcher.waitingFor ?? parts.keeper.waitingFor,
    agents,
  });
}

interface LinkUsers {
  readonly state: NodeState;
  readonly door: SessionDoor | undefined;
  readonly processes: Processes | undefined;
  readonly relay: Relay;
  readonly openRoute: OpenRelay["openRoute"];
  /** The pool's set has changed. */
  readonly onApplied: () => void;
}

/** Loaded now: what speaks gRPC is a good part of the start, and nothing that is served waits for it. */
async function startLink(
  parts: EdgeParts,
  { state, door, processes, onApplied, relay, openRoute }: LinkUsers,
  stack: AsyncDisposableStack,
): Promise<void> {
  const [{ OriginLink }, { connectByGrpc }] = await Promise.all([
    import("./link/origin-link.ts"),
    import("./link/grpc-origin.ts"),
  ]);
  const { identity, keeper, link, events } = parts;
  const connect = connectByGrpc({
    nextAddress: () => parts.origins.dial(),
    tls: () => identity.clientTls(ORIGIN_SERVER_NAME),
  });
  const route = await openRoute(connect);
  const origin = stack.use(
    new OriginLink({
      ...{ ...parts, connect },
      route: (signal) => route.next(signal),
      status: () => state.status(),
      events: {
        ...events,
        batchRefused(failure) {
          parts.sync.refused(failure);
          parts.applyOrders();
          events.batchRefused(failure);
          relay.refused();
          route.refused();
          origin.sendNow();
        },
      },
      onBatch(envelope) {
        const { mark } = parts.purges;
        parts.sync.cleared();
        parts.applySet();
        onApplied();
        relay.applied();
        route.reconsider();
        door?.passOn(envelope);
        // Whoever purges waits to hear that it is everywhere.
        if (parts.purges.mark !== mark) origin.sendNow();
      },
      onUp() {
        parts.sync.cleared();
        expireMissed(parts);
        parts.note({ kind: "link-up", value: { cutOffMs: link.cutOffMs } });
        link.set(true);
        events.linkUp();
        keeper.retryNow();
      },
      onDown(reason) {
        link.set(false);
        // Who is cut off answers by other rules, which are not the copies'.
        void processes?.forget(undefined);
        parts.note({ kind: "link-down", value: { code: reason.code, message: reason.message } });
        events.linkDown(reason);
      },
    }),
  );
  stack.use(identity.onRenewed(() => keeper.reconsider()));
  parts.onChange(() => origin.sendNow());
  parts.reports.onCommitted(() => origin.sendReports());
}

/** Before the set arrives whose purges are all that the origin still knows. */
function expireMissed({ link, clock, store, events }: EdgeParts): void {
  const beforeMs = decideExpiry(link.cutOffMs, clock.nowMs());
  if (beforeMs === undefined) return;
  void store.expireStoredBefore("all-sites", beforeMs);
  events.purgesMissed(beforeMs);
}
