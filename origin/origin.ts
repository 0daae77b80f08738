/** Puts the origin together: storage, keys, listeners, housekeeping; disposed of in reverse. */
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { type Address, formatAddress, isLoopbackHost, parseAddress } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import { writeFileDurably } from "#platform/files/durable.ts";
import { startGrpcServer } from "#platform/grpc/server.ts";
import { startAdminListener } from "#platform/http/admin-listener.ts";
import type { ApiServer } from "#platform/http/api-server.ts";
import { pinOf } from "#platform/identity/certificates.ts";
import type { Logger } from "#platform/logging.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";
import type { Random } from "#platform/random.ts";
import { openBlobStore } from "./blob-store/open-blob-store.ts";
import { createCertificateEvents } from "./certificates/events.ts";
import type { OriginConfig } from "./config.ts";
import { renderPage } from "./dashboard/page.ts";
import { startDelivery } from "./delivery/delivery-listener.ts";
import { enrolmentService } from "./enrolment/enrolment-service.ts";
import { openJoinTokens } from "./enrolment/join-tokens.ts";
import { Members } from "./enrolment/members.ts";
import { PeerAddresses } from "./enrolment/peer-addresses.ts";
import { createEvents } from "./events.ts";
import { startHousekeeping } from "./housekeeping.ts";
import { openEpochProof } from "./keys/epoch-proof.ts";
import { loadOriginKeys } from "./keys/origin-keys.ts";
import { openOwnCertificate } from "./keys/own-certificate.ts";
import { openLog } from "./log/open-log.ts";
import { listResources } from "./log/resources.ts";
import { Distribution } from "./node-rpc/distribution.ts";
import { nodeSyncService } from "./node-rpc/node-sync.ts";
import { schedulerSyncService } from "./node-rpc/scheduler-sync.ts";
import { ObservedNodes } from "./observed/observed-nodes.ts";
import { authorise, issueToken } from "./operator-api/authorisation.ts";
import { createOperatorApi, fleetFacts, type OperatorApiParts } from "./operator-api/operator-api.ts";
import { createPolicyTrial } from "./policy-trial/policy-trial.ts";
import { startKeepingReports } from "./policy-trial/pool-knowledge.ts";
import { openRecords } from "./records/records.ts";
import { createRolloutEvents } from "./rollout/events.ts";
import { RolloutDriver } from "./rollout/rollout-driver.ts";

/** The first token is for making others: a year, revocable. */
const FIRST_TOKEN_LIFETIME_SECONDS = 31_536_000;

export interface OriginTools {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Shows a text to the person who started the origin. */
  readonly print: (text: string) => void;
}

export interface RunningOrigin extends AsyncDisposable {
  readonly addresses: Readonly<Record<keyof OriginConfig["listen"], Address>>;
}

export async function startOrigin(config: OriginConfig, tools: OriginTools): Promise<RunningOrigin> {
  await using starting = new AsyncDisposableStack();
  const parts = await openParts(config, tools, starting);
  const listeners = await startListeners(config, parts, starting);
  starting.use(startHousekeeping(parts, config));
  starting.use(startKeepingReports(parts));
  if (config.acme !== undefined) starting.use(await openSiteCertificates(config.acme, config.dataDir, parts));
  await giveFirstToken(config, parts, tools);
  // Last: what says that the origin is ready says so of all the rest.
  const admin = starting.use(
    await startAdminListener({
      address: parseAddress(config.listen.admin),
      metrics: parts.metrics,
      readiness: () => ({ ready: true, reasons: [`revision ${parts.log.revision()}`] }),
    }),
  );
  const addresses = { ...listeners, admin: admin.address };
  parts.events.listening(
    Object.fromEntries(Object.entries(addresses).map(([name, address]) => [name, formatAddress(address)])),
  );
  const running = starting.move();
  return { addresses, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Loaded where it is configured. */
async function openSiteCertificates(
  { directoryUrl, email, authorityFile }: NonNullable<OriginConfig["acme"]>,
  dataDir: string,
  { log, observed, clock, logger, metrics }: Parts,
): Promise<AsyncDisposable> {
  const { SiteCertificates } = await import("./certificates/site-certificates.ts");
  return await SiteCertificates.open({
    directoryUrl,
    ...(email === undefined ? {} : { email }),
    ...(authorityFile === undefined ? {} : { trustedPem: await readFile(authorityFile, "utf8") }),
    ...{ dataDir, log, observed, clock },
    events: createCertificateEvents(logger, metrics),
  });
}

type Parts = Awaited<ReturnType<typeof openParts>>;

async function openParts(config: OriginConfig, tools: OriginTools, stack: AsyncDisposableStack) {
  const { dataDir } = config;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const keys = await loadOriginKeys(dataDir, tools);
  const metrics = createMetrics("origin");
  const events = createEvents(tools.logger, metrics);
  const log = stack.use(await openLog(config, { ...tools, metrics }));
  const records = stack.use(openRecords(join(dataDir, "records.sqlite")));
  const joinTokens = stack.use(openJoinTokens(join(dataDir, "join-tokens.sqlite"), tools));
  const blobs = await openBlobStore(config, tools, stack);
  const observed = new ObservedNodes();
  const epochProof = await openEpochProof(dataDir, keys.authorities, log.epoch);
  const distribution = new Distribution(log, keys.stream, epochProof);
  const members = new Members(log);
  const certificate = stack.use(await openOwnCertificate(keys.authorities, tools));
  events.certificateIssued(certificate.expiresAtMs);
  const { clock, random, logger } = tools;
  const rollout = stack.use(
    new RolloutDriver({ log, distribution, observed, clock, events: createRolloutEvents(logger, metrics) }),
  );
  const signing = { publishKey: keys.publish, tokenKey: keys.token };
  const stores = { keys, log, records, joinTokens, blobs };
  const peerAddresses = new PeerAddresses(log, clock);
  const trial = createPolicyTrial();
  const serving = { observed, distribution, rollout, members, certificate, peerAddresses, trial };
  return { clock, random, logger, ...signing, ...stores, ...serving, metrics, events };
}

async function startListeners(config: OriginConfig, parts: Parts, stack: AsyncDisposableStack) {
  const at = (name: keyof OriginConfig["listen"]) => parseAddress(config.listen[name]);
  const following = new AbortController();
  stack.defer(() => following.abort());
  const { distribution, rollout, members, certificate, events } = parts;
  const { signal } = following;
  for (const follow of [distribution.run(signal), members.follow(signal), rollout.follow(signal)]) {
    follow.catch((error: unknown) => {
      // A bug or lost storage: the process's last handler ends it, as for any other.
      queueMicrotask(() => {
        throw error;
      });
    });
  }
  const delivery = stack.use(await startDelivery(parts, at("delivery")));
  const enrolment = stack.use(
    await startGrpcServer({
      clock: parts.clock,
      listen: at("enrolment"),
      onFailed: events.callFailed,
      tls: { ...certificate.tls, clientCertificate: "none" },
      services: [enrolmentService(parts)],
    }),
  );
  const nodeRpc = stack.use(
    await startGrpcServer({
      clock: parts.clock,
      listen: at("nodeRpc"),
      onFailed: events.callFailed,
      tls: { ...certificate.tls, clientCertificate: "required" },
      services: [nodeSyncService(parts), schedulerSyncService(parts)],
      pingsItself: true,
    }),
  );
  certificate.onRenewed((tls) => {
    for (const server of [enrolment, nodeRpc]) server.replaceCertificate(tls);
    events.certificateIssued(certificate.expiresAtMs);
  });
  const operatorApi = await startOperatorApi(parts, at("operatorApi"), stack);
  const addressOf = (listener: { address: Address }) => listener.address;
  return {
    operatorApi,
    nodeRpc: addressOf(nodeRpc),
    enrolment: addressOf(enrolment),
    delivery: addressOf(delivery),
  };
}

async function startOperatorApi(parts: Parts, address: Address, stack: AsyncDisposableStack): Promise<Address> {
  const api = await createOperatorApi(parts satisfies OperatorApiParts);
  addStatusPage(api, parts);
  stack.defer(() => api.close());
  await api.listen(address);
  const bound = api.server.address();
  return { host: address.host, port: typeof bound === "object" && bound !== null ? bound.port : address.port };
}

/** Open to who is on the machine itself; from elsewhere with a token, as all else. */
function addStatusPage(api: ApiServer, parts: Parts): void {
  api.get("/", { schema: { hide: true } }, async (request, reply) => {
    const isLocal = isIP(request.ip) !== 0 && isLoopbackHost(request.ip);
    if (!isLocal) await authorise(parts, request.headers.authorization, "read");
    const { log, observed, clock, rollout } = parts;
    const html = renderPage({
      revision: log.revision(),
      nowMs: clock.nowMs(),
      rollout: rollout.report(),
      pools: listResources(log, "NodePool"),
      sites: listResources(log, "Site"),
      ...fleetFacts(log, observed),
    });
    return reply.type("text/html; charset=utf-8").header("cache-control", "no-store").send(html);
  });
}

/** Given once: the marker is written after it, so a crash in between gives another rather than none. */
async function giveFirstToken(config: OriginConfig, parts: Parts, tools: OriginTools): Promise<void> {
  const marker = join(config.dataDir, "first-token-given");
  if (existsSync(marker)) return;
  const claims = { sub: "first", scopes: ["admin"] };
  const { token, id } = await issueToken(parts, "operator", claims, FIRST_TOKEN_LIFETIME_SECONDS);
  if (config.firstTokenFile !== undefined) await writeFileDurably(config.firstTokenFile, `${token}\n`);
  else tools.print(`first operator token (shown once): ${token}`);
  tools.print(`authority pin: ${pinOf(parts.keys.authorities.root)}`);
  await writeFileDurably(marker, `${id}\n`);
}
