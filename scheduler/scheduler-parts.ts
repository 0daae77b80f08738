/** What a scheduler holds: identity, desired state, fleet, ledger, and the services that decide; opened without the network. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Enrolment } from "#contracts/generated/perigee/v1/enrolment_pb.js";
import { Failure } from "#domain/failure.ts";
import { parseNetwork } from "#domain/ip-networks.ts";
import { ProbeTrust } from "#domain/latency/probe-trust.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import type { Clock } from "#platform/clock.ts";
import { createGrpcClient } from "#platform/grpc/client.ts";
import { openIceServers } from "#platform/ice/ice-servers.ts";
import { authorityKeysOf } from "#platform/identity/certificates.ts";
import { type NodeIdentity, openNodeIdentity } from "#platform/identity/node-identity.ts";
import type { Logger } from "#platform/logging.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";
import { OriginAddresses } from "#platform/origin-addresses.ts";
import type { Random } from "#platform/random.ts";
import type { SchedulerConfig } from "./config.ts";
import { BundleGaps } from "./content-plan/bundle-gaps.ts";
import { ContentDemand } from "./content-plan/content-demand.ts";
import { DecisionLog } from "./decision-log/decision-log.ts";
import type { LoggedPools } from "./decision-log/segment-encoder.ts";
import { createEvents, type SchedulerEvents } from "./events.ts";
import { createExplainStore } from "./explain/explain-store.ts";
import { openDesiredSet } from "./facts/desired-set.ts";
import { Fleet } from "./facts/fleet.ts";
import { groupPrefixLength, type LocatedClient, locateClient } from "./geo/client-groups.ts";
import { type Geoip, loadGeoip, NO_GEOIP } from "./geo/geoip.ts";
import { loadNetworksTable, type NetworksTable, NO_NETWORKS } from "./geo/networks-table.ts";
import { openRttMap } from "./latency/open-rtt-map.ts";
import { openLedger } from "./ledger/open-ledger.ts";
import { openPricing } from "./pricing/open-pricing.ts";
import { createEdgeProber } from "./reconcile/edge-prober.ts";
import { NodeWatch } from "./reconcile/node-watch.ts";
import { ProbeTokens } from "./session/probe-tokens.ts";
import { createSessionService } from "./session/session-service.ts";
import { ClientMemory } from "./steering/client-memory.ts";
import { createSteeringService } from "./steering/steering-service.ts";

/** Networks whose probes were no good; who is forgotten is believed again. */
const CLIENTS_DISTRUSTED_MAX = 20_000;

export interface SchedulerTools {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly softwareVersion: string;
  /** Ends the wait for an origin at the first start. */
  readonly signal: AbortSignal;
}

type SchedulerOrigins = OriginAddresses<"enrolment" | "nodeRpc">;

export type SchedulerParts = Awaited<ReturnType<typeof openSchedulerParts>>;

/** Throws `config-invalid` for faults of the files and networks that the configuration names. */
export async function openSchedulerParts(config: SchedulerConfig, tools: SchedulerTools, stack: AsyncDisposableStack) {
  const { clock, random, logger } = tools;
  checkProxies(config.trustedProxies);
  const networks = config.networksFile === undefined ? NO_NETWORKS : loadNetworksTable(config.networksFile);
  const iceServers = await openIceServers("iceServers", config.iceServers);
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const { others, ...first } = config.origin;
  const origins: SchedulerOrigins = new OriginAddresses([first, ...others], random);
  const identity = stack.use(await openIdentity(config, tools, origins));
  const metrics = createMetrics("scheduler");
  const events = createEvents(logger, metrics);
  events.networksLoaded(networks.size);
  const place = { networks, geoip: NO_GEOIP };
  if (config.geoip) void openGeoip(place, events);
  const locate = (address: string): LocatedClient => locateClient(place, address);
  const trustNow = () => {
    const { streamKeys, epoch, authorities } = identity.trust;
    return { streamKeys, epoch, mints: (cross: Uint8Array | undefined) => authorityKeysOf(authorities, cross) };
  };
  const { set, database } = openDesiredSet(join(config.dataDir, "desired.sqlite"), trustNow, events.storedDamaged);
  stack.use(database);
  origins.learnFrom(set);
  const fleet = new Fleet();
  fleet.setDesired(set.resources);
  const opened = await openLedger(config, { clock, random, events: events.ledger }, stack);
  const { ledger, standing: ledgerStanding } = opened;
  const pools = new PoolIds();
  const log = stack.use(
    await DecisionLog.open({
      ...{ folder: join(config.dataDir, "decisions"), bytesMax: config.decisionLogBytesMax },
      ...{ steeringRatio: config.steeringLoggedRatio, pools: loggedPools(pools, fleet) },
      ...{ clock, events: events.decisionLog },
    }),
  );
  const explain = createExplainStore({ pools, log });
  const incarnation = random.uuid();
  const rttMap = openRttMap(opened, { clock, events: events.rtt, incarnation }, stack);
  const priced = { clock, ledger, rttMap, explain, facts: fleet, events: events.pricing, incarnation };
  const pricing = openPricing(config, { ...priced, shared: opened.shared }, stack);
  const probeTrust = new ProbeTrust(CLIENTS_DISTRUSTED_MAX);
  const deciding = { clock, random, identity, ledger, explain, rttMap, probeTrust, locate, ...pricing };
  // Apart: whoever may steer may not push the probes of sessions out of memory.
  const contentProbes = new ProbeTokens(deciding);
  const watch = stack.use(
    new NodeWatch({
      clock,
      fleet,
      probe: createEdgeProber({
        ...{ probeTokens: new ProbeTokens(deciding), clock, events },
        learn: ({ pool, freeSlots, ageMs }) => void ledger.probed({ pool, freeSlots, ageMs }),
      }),
      events,
    }),
  );
  const sessions = createSessionService({
    ...deciding,
    ...{ facts: factsOf(fleet), bundles: new BundleGaps({ clock, fleet }) },
    ...{ probeTokens: new ProbeTokens(deciding), watch, events: events.session, iceServers },
  });
  const demand = new ContentDemand(clock);
  const steering = createSteeringService({
    ...deciding,
    ...{ fleet, demand, memory: new ClientMemory(clock), probeTokens: contentProbes, watch, events: events.steering },
  });
  const placing = { groupPrefixLength: prefixLengthOf(networks, fleet) };
  const serving = { origins, metrics, events, set, fleet, watch, demand, sessions, steering, pricing };
  return { ...tools, ...deciding, ...placing, ...serving, incarnation, ledgerStanding };
}

function loggedPools(pools: PoolIds, fleet: Fleet): LoggedPools {
  return { poolName: (id) => pools.nameOf(id), findPool: (pool) => fleet.view.pools.get(pool) };
}

function prefixLengthOf(networks: NetworksTable, fleet: Fleet): (address: string) => number {
  return (address) => groupPrefixLength({ networks, policies: fleet.view.placementPolicies }, address);
}

function factsOf(fleet: Fleet) {
  return {
    findApp: (app: string) => fleet.view.apps.get(app),
    listPolicies: () => fleet.view.placementPolicies,
    listPools: () => fleet.listPools(),
    findPool: (pool: string) => fleet.findPool(pool),
  };
}

async function openGeoip(place: { geoip: Geoip }, events: SchedulerEvents): Promise<void> {
  try {
    place.geoip = await loadGeoip();
    events.geoipLoaded();
  } catch (error) {
    // Without its data files steering goes by tables and measurements.
    events.geoipFailed(error);
  }
}

function checkProxies(networks: readonly string[]): void {
  const faults = networks.flatMap((network, index) => {
    const parsed = parseNetwork(network);
    return parsed.kind === "invalid" ? [`trustedProxies[${index}]: ${parsed.reason}`] : [];
  });
  if (faults.length > 0) throw new Failure("config-invalid", faults.join("\n"));
}

function openIdentity(
  config: SchedulerConfig,
  tools: SchedulerTools,
  origins: SchedulerOrigins,
): Promise<NodeIdentity> {
  return openNodeIdentity({
    folder: join(config.dataDir, "identity"),
    role: "scheduler",
    name: config.name,
    ...(config.join === undefined ? {} : { join: config.join }),
    get enrolment() {
      return origins.addresses("enrolment");
    },
    connect: (address, tls) => createGrpcClient(Enrolment, { address, tls }),
    ...tools,
  });
}
