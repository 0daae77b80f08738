/** What a render-agent holds: identity, the pool's set, fences, leases and the listener for WebSockets; opened in this order. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { SiteEnrolment } from "#contracts/generated/perigee/v1/site_pb.js";
import { parseAddress } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import { createGrpcClient } from "#platform/grpc/client.ts";
import { authorityKeysOf } from "#platform/identity/certificates.ts";
import { type NodeIdentity, openNodeIdentity } from "#platform/identity/node-identity.ts";
import type { Logger } from "#platform/logging.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";
import type { Random } from "#platform/random.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { openCalibrator } from "./capacity/calibrator.ts";
import { type AgentConfig, portCountOf, SLOTS_MAX } from "./config.ts";
import { POOL_SET_MIGRATIONS, PoolSet } from "./control/pool-set.ts";
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
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const identity = stack.use(await openIdentity(config, tools));
  const metrics = createMetrics("render-agent");
  const events = createAgentEvents(logger, metrics);
  const set = new PoolSet(
    stack.use(openDatabase(join(dataDir, "desired.sqlite"), { migrations: POOL_SET_MIGRATIONS, durability: "full" })),
    {
      pool: identity.peer.pool,
      keys: () => identity.trust.streamKeys,
      epochs: () => {
        const { epoch, authorities } = identity.trust;
        return { epoch, mints: (cross) => authorityKeysOf(authorities, cross) };
      },
    },
  );
  if (set.damage !== undefined) events.storedDamaged(set.damage);
  const fences = await openFences(join(dataDir, "fences"), random);
  const slotsMax = Math.min(capacity.slotsMax ?? SLOTS_MAX, portCountOf(media) ?? SLOTS_MAX);
  const startProcess = await createProcessStarter({ clock, environment, events, cacheDir: join(dataDir, "vulkan") });
  const door = stack.use(
    await openWebSocketDoor({ listen: parseAddress(listen.websocket), publicUrl: websocketUrl, clock, random, events }),
  );
  const sceneFolder = await openSceneFolder(join(dataDir, "scenes"));
  const calibrator = await openCalibrator({ path: join(dataDir, "calibrations.json"), clock, events });
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
