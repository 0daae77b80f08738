/** What a render-agent holds: identity, the pool's set, fences, leases and the listener for WebSockets; opened in this order. */
import { mkdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { SiteEnrolment } from "#contracts/generated/perigee/v1/site_pb.js";
import { parseAddress } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import { createGrpcClient } from "#platform/grpc/client.ts";
import { openIceServers } from "#platform/ice/ice-servers.ts";
import { authorityKeysOf } from "#platform/identity/certificates.ts";
import { type NodeIdentity, openNodeIdentity } from "#platform/identity/node-identity.ts";
import type { Logger } from "#platform/logging.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";
import type { Random } from "#platform/random.ts";
import { openCalibrator } from "./capacity/calibrator.ts";
import { type AgentConfig, portCountOf, SLOTS_MAX } from "./config.ts";
import { openPoolSet } from "./control/pool-set.ts";
import { createAgentEvents } from "./events.ts";
import type { Environment } from "./renderer/software-vulkan.ts";
import { openSceneFolder } from "./scenes/scene-folder.ts";
import { openFences } from "./session/fences.ts";
import { Leases } from "./session/leases.ts";
import { createProcessStarter } from "./session/process-starter.ts";
import { openWebSocketDoor } from "./transport/websocket-door.ts";

export interface AgentTools {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly softwareVersion: string;
  /** For session processes: which drivers an operator names. */
  readonly environment: Environment;
  /** Ends the wait for an edge at the first start. */
  readonly signal: AbortSignal;
}

export type AgentParts = Awaited<ReturnType<typeof openAgentParts>>;

export async function openAgentParts(config: AgentConfig, tools: AgentTools, stack: AsyncDisposableStack) {
  const { dataDir, media, listen, websocketUrl, capacity } = config;
  const { clock, random, logger, environment } = tools;
  const iceServers = await openIceServers("media.iceServers", media.iceServers);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const identity = stack.use(await openIdentity(config, tools));
  const metrics = createMetrics("render-agent");
  const events = createAgentEvents(logger, metrics);
  const setOptions = {
    pool: identity.peer.pool,
    keys: () => identity.trust.streamKeys,
    epochs: () => {
      const { epoch, authorities } = identity.trust;
      return { epoch, mints: (cross: Uint8Array | undefined) => authorityKeysOf(authorities, cross) };
    },
  };
  const { set, database } = openPoolSet(join(dataDir, "desired.sqlite"), setOptions, events.storedDamaged);
  stack.use(database);
  const fences = await openFences(join(dataDir, "fences"), random);
  const slotsMax = Math.min(capacity.slotsMax ?? SLOTS_MAX, portCountOf(media) ?? SLOTS_MAX);
  const startProcess = await createProcessStarter({
    ...{ clock, environment, events },
    encoder: config.encoder,
    foveation: config.foveation,
    cacheDir: join(dataDir, "vulkan"),
  });
  const door = stack.use(
    await openWebSocketDoor({ listen: parseAddress(listen.websocket), publicUrl: websocketUrl, clock, random, events }),
  );
  const sceneFolder = await openSceneFolder(join(dataDir, "scenes"));
  const calibrator = await openCalibrator({
    ...{ path: join(dataDir, "calibrations.json"), clock, events },
    processors: availableParallelism(),
  });
  const leases = new Leases({ slotsMax, clock });
  const held = {
    identity,
    metrics,
    events,
    set,
    fences,
    leases,
    slotsMax,
    startProcess,
    door,
    sceneFolder,
    calibrator,
    iceServers,
  };
  return { ...tools, ...held, config };
}

/** The first start waits for an edge; later ones need none. */
function openIdentity({ dataDir, name, join: joining, edges }: AgentConfig, tools: AgentTools): Promise<NodeIdentity> {
  return openNodeIdentity({
    ...tools,
    folder: join(dataDir, "identity"),
    role: "agent",
    name,
    ...(joining === undefined ? {} : { join: joining }),
    enrolment: edges.map(({ enrolment }) => parseAddress(enrolment)),
    connect: (address, tls) => createGrpcClient(SiteEnrolment, { address, tls }),
  });
}
