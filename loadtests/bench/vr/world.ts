/** A real render-agent with session processes of its own, for one render class, directly or behind links. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { RenderClass } from "#domain/session/render-app.ts";
import type { Address } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { loadConfig } from "#platform/config/load.ts";
import type { LinkOptions } from "#platform/links/path.ts";
import { type Link, startTcpLink } from "#platform/links/tcp-link.ts";
import { startUdpLink } from "#platform/links/udp-link.ts";
import { bindUdpRange } from "#platform/links/udp-ports.ts";
import { createLogger } from "#platform/logging.ts";
import { seededRandom, systemRandom } from "#platform/random.ts";
import { startAgent } from "#render-agent/agent.ts";
import { agentConfigSchema } from "#render-agent/config.ts";
import { freePort } from "#test/free-ports.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { FakeEdge, POOL, PoolWorld } from "#test/render-agent/pool-world.ts";
import { APP, type Services, startServices, urlOf } from "./services.ts";

const HOST = "127.0.0.1";
const AGENT = "gpu-1";
const SCENES = "scenes";
const SCENE_PATH = "/scene.json";
/** One a session; one that needs more has them. */
const MEDIA_PORTS = 64;
const PORT_TRIES_MAX = 8;
const START_MS_MAX = 60_000;
const NOTES_MAX = 50;
const LOSS_SEED = 7;
/** Small, so that calibration alone says how many sessions fit. */
const NEEDS = { gpuShareRatio: 0.01, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 1_000_000 };

export interface VrWorld extends AsyncDisposable {
  readonly services: Services;
  /** Scheduler and edge as the page reaches them. */
  readonly apiUrl: string;
  /** What calibration chose, where it said so. */
  readonly detail: number | undefined;
  /** How many sessions calibration admits. */
  slots(): number;
  /** How many there are. */
  sessions(): number;
  /** Warnings of the agent, the newest last. */
  readonly notes: readonly string[];
  /** Throws where the world has no links. */
  setLink(options: LinkOptions): void;
}

export interface VrWorldOptions {
  readonly folder: string;
  readonly siteFolder: string;
  readonly renderClass: RenderClass;
  readonly scene: Uint8Array;
  /** Drivers of session processes. */
  readonly environment: Readonly<Record<string, string>>;
  readonly isLinked: boolean;
}

export async function startVrWorld(options: VrWorldOptions): Promise<VrWorld> {
  const { folder, siteFolder, renderClass, scene, isLinked } = options;
  await using stack = new AsyncDisposableStack();
  const world = await PoolWorld.open();
  world.setResource(`Node/${AGENT}`, { role: "agent", pool: POOL, cordoned: false, draining: false });
  const bundle = { site: SCENES, path: SCENE_PATH };
  world.setResource(`RenderApp/${APP}`, { bundle, needs: NEEDS, classes: [renderClass] });
  world.publish(SCENES, 1, { [SCENE_PATH]: scene });
  const edge = stack.use(await FakeEdge.start("near-1", world));
  const dataDir = join(folder, "agent");
  await mkdir(dataDir, { recursive: true });
  const media = isLinked ? await linkMedia(stack) : undefined;
  const said: Said = { detail: undefined, notes: [] };
  stack.use(
    await startAgent(
      loadConfig(agentConfigSchema, {
        text: JSON.stringify({
          dataDir,
          name: AGENT,
          join: world.writeJoinToken(dataDir),
          edges: [edge.configured],
          listen: { websocket: `${HOST}:0`, admin: `${HOST}:0` },
          media: media?.config ?? {},
        }),
      }),
      {
        ...{ clock: systemClock, random: systemRandom, softwareVersion: "bench", environment: options.environment },
        logger: listeningLogger(said),
        signal: systemClock.deadline(START_MS_MAX),
      },
    ),
  );
  await patiently(() => edge.status?.ready === true, `ready: ${said.notes.join("; ")}`);
  const services = stack.use(await startServices({ world, edge, renderClass, siteFolder }));
  const links = media === undefined ? [] : [media.link, stack.use(await linkApi(services.api))];
  const apiAddress = links[1]?.address ?? services.api;
  const running = stack.move();
  return {
    services,
    apiUrl: urlOf(apiAddress),
    ...said,
    slots: () => edge.status?.slots.find((slot) => slot.renderClass === renderClass.name)?.total ?? 0,
    sessions: () => edge.status?.sessions.length ?? 0,
    setLink(path) {
      if (links.length === 0) throw new TypeError("this world has no links");
      for (const link of links) link.set(path);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Ports for media that lead to the agent's, which the agent tells clients of instead of its own. */
async function linkMedia(stack: AsyncDisposableStack) {
  const portBegin = await freeRange();
  const link = stack.use(
    await startUdpLink({
      ...{ listen: { host: HOST, port: 0 }, target: { host: HOST, port: portBegin }, portCount: MEDIA_PORTS },
      ...{ rttMs: 0, clock: systemClock, random: seededRandom(LOSS_SEED) },
    }),
  );
  const advertise = { address: HOST, portOffset: link.address.port - portBegin };
  const config = { bindAddress: HOST, portBegin, portEnd: portBegin + MEDIA_PORTS - 1, advertise };
  return { link, config };
}

function linkApi(target: Address): Promise<Link> {
  const listen = { host: HOST, port: 0 };
  return startTcpLink({ listen, target, rttMs: 0, clock: systemClock, random: seededRandom(LOSS_SEED) });
}

/** Below the ports that connections are given; free a moment ago. */
async function freeRange(): Promise<number> {
  for (let tries = 1; ; tries += 1) {
    const first = await freePort();
    try {
      const sockets = await bindUdpRange({ host: HOST, port: first }, MEDIA_PORTS);
      await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
      return first;
    } catch (error) {
      if (tries >= PORT_TRIES_MAX) throw error;
    }
  }
}

interface Said {
  detail: number | undefined;
  readonly notes: string[];
}

function listeningLogger(said: Said) {
  return createLogger({
    program: "render-agent",
    level: "info",
    destination: {
      write(line) {
        const record: Readonly<Record<string, unknown>> = Object(JSON.parse(line));
        if (record["msg"] === "class calibrated" && typeof record["detail"] === "number")
          said.detail = record["detail"];
        if (record["level"] === "info") return;
        said.notes.push(line.trim());
        said.notes.splice(0, said.notes.length - NOTES_MAX);
      },
    },
  });
}
