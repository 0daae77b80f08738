/** What the one-machine start consists of: names, ports, settings and distances. Pure. */
import type { NodeRole } from "#domain/fleet/node.ts";

const HOST = "127.0.0.1";

/** A place, and how far its clients have it. */
export interface PoolPlan {
  readonly name: string;
  readonly rttMs: number;
  readonly hasAgent: boolean;
  /** Its TCP ports begin here; see `POOL_PORTS`. */
  readonly portBase: number;
  /** Its media ports (UDP) begin here; see `MEDIA_PORTS`. */
  readonly mediaBase: number;
}

/** Strict, standard and no render budget fits: one pool of each kind. */
export const POOLS: readonly PoolPlan[] = [
  { name: "near", rttMs: 4, hasAgent: true, portBase: 7420, mediaBase: 7500 },
  { name: "middle", rttMs: 18, hasAgent: true, portBase: 7430, mediaBase: 7540 },
  { name: "far", rttMs: 60, hasAgent: false, portBase: 7440, mediaBase: 7580 },
];

export const ORIGIN_PORTS = { operatorApi: 7400, nodeRpc: 7401, enrolment: 7402, delivery: 7403, admin: 7409 } as const;
export const SCHEDULER_PORTS = { client: 7410, admin: 7419 } as const;
/** Added to a pool's `portBase`. What clients use is a link of the pool's distance, with the listener behind it. */
export const POOL_PORTS = {
  contentLink: 0,
  site: 1,
  siteEnrolment: 2,
  probeLink: 3,
  content: 4,
  websocketLink: 5,
  websocket: 6,
  probe: 7,
  agentAdmin: 8,
  admin: 9,
} as const;
export const SAMPLE_UPSTREAM_PORT = 7490;
export const CONTROL_PORT = 7491;

/** One session needs one port: more than software rendering on one machine can hold. */
const MEDIA_PORT_COUNT = 16;
/** Added to a pool's `mediaBase`: the link that clients use, and the agent's own ports behind it. */
const MEDIA_PORTS = { link: 0, agent: 20 } as const;

/** The highest port is 7,596: with this it stays below 65,536. */
export const PORT_OFFSET_MAX = 50_000;

/**
 * Elsewhere the places of an outage are machines of their own. Here the sessions of a killed agent come up at another
 * one on the same processors, which its own start would take from them.
 */
const AGENT_RESTART_MS_MIN = 3_000;

export type ProgramKind = "origin" | "scheduler" | "edge" | "agent";

export interface JoinPlan {
  readonly role: NodeRole;
  readonly pool?: string;
}

export interface ProgramPlan {
  readonly name: string;
  readonly kind: ProgramKind;
  /** Absolute, or from the project's root. */
  readonly main: string;
  /** As `ProgramSpec` has it. */
  readonly environmentFile?: string;
  readonly restartMsMin?: number;
  readonly dataDir: string;
  /** All but `join`, as its configuration file has it. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly adminUrl: string;
  /** What its join token is made for; the origin needs none. */
  readonly join?: JoinPlan;
}

export interface LinkPlan {
  readonly pool: string;
  readonly protocol: "tcp" | "udp";
  readonly listenPort: number;
  readonly targetPort: number;
  readonly portCount: number;
  readonly rttMs: number;
}

export interface MachinePlan {
  readonly origin: ProgramPlan;
  readonly scheduler: ProgramPlan;
  readonly edges: readonly ProgramPlan[];
  readonly agents: readonly ProgramPlan[];
  readonly links: readonly LinkPlan[];
  readonly originUrl: string;
  readonly schedulerUrl: string;
  readonly upstreamUrl: string;
  readonly upstreamPort: number;
  readonly controlPort: number;
}

export interface PlanOptions {
  /** The data folder's absolute path. */
  readonly data: string;
  /** The networks of this machine's clients. */
  readonly networksFile: string;
  readonly portOffset: number;
}

export function planMachine(options: PlanOptions): MachinePlan {
  const port = (number: number): number => number + options.portOffset;
  const url = (number: number): string => `http://${HOST}:${port(number)}`;
  return {
    origin: planOrigin(options),
    scheduler: planScheduler(options),
    edges: POOLS.map((pool) => planEdge(options, pool)),
    agents: POOLS.filter(({ hasAgent }) => hasAgent).map((pool) => planAgent(options, pool)),
    links: POOLS.flatMap((pool) => planLinks(options, pool)),
    originUrl: url(ORIGIN_PORTS.operatorApi),
    schedulerUrl: url(SCHEDULER_PORTS.client),
    upstreamUrl: url(SAMPLE_UPSTREAM_PORT),
    upstreamPort: port(SAMPLE_UPSTREAM_PORT),
    controlPort: port(CONTROL_PORT),
  };
}

export function edgeNameOf(pool: string): string {
  return `${pool}-1`;
}

export function agentNameOf(pool: string): string {
  return `${pool}-gpu-1`;
}

/** A site's address at one edge, as its clients have it: at the edge's distance. */
export function siteUrlAt(site: string, pool: PoolPlan, portOffset: number): string {
  return `http://${site}.${hostnameOf(pool.name)}:${pool.portBase + POOL_PORTS.contentLink + portOffset}/`;
}

/** A site's steering name: the scheduler sends on to the best edge. */
export function steeringUrlOf(site: string, portOffset: number): string {
  return `http://${site}.localhost:${SCHEDULER_PORTS.client + portOffset}/`;
}

/** RFC 6761 section 6.3: names under `localhost` are this machine. */
function hostnameOf(pool: string): string {
  return `${edgeNameOf(pool)}.edge.localhost`;
}

function addressesOf(ports: Readonly<Record<string, number>>, offset: number): Record<string, string> {
  return Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, `${HOST}:${port + offset}`]));
}

function planOrigin({ data, portOffset }: PlanOptions): ProgramPlan {
  const dataDir = `${data}/origin`;
  const listen = addressesOf(ORIGIN_PORTS, portOffset);
  return {
    name: "origin",
    kind: "origin",
    main: "origin/main.ts",
    environmentFile: "deploy/programs/origin.env",
    dataDir,
    settings: { dataDir, firstTokenFile: `${data}/operator-token`, listen },
    adminUrl: `http://${listen["admin"]}`,
  };
}

function planScheduler({ data, portOffset, networksFile }: PlanOptions): ProgramPlan {
  const dataDir = `${data}/scheduler`;
  const listen = addressesOf(SCHEDULER_PORTS, portOffset);
  const { enrolment, nodeRpc } = addressesOf(ORIGIN_PORTS, portOffset);
  const clientUrl = `http://${listen["client"]}`;
  return {
    name: "scheduler",
    kind: "scheduler",
    main: "scheduler/main.ts",
    dataDir,
    settings: { dataDir, name: "scheduler", origin: { enrolment, nodeRpc }, listen, clientUrl, networksFile },
    adminUrl: `http://${listen["admin"]}`,
    join: { role: "scheduler" },
  };
}

function planEdge({ data, portOffset }: PlanOptions, pool: PoolPlan): ProgramPlan {
  const name = edgeNameOf(pool.name);
  const dataDir = `${data}/${name}`;
  const at = (which: keyof typeof POOL_PORTS) => `${HOST}:${pool.portBase + POOL_PORTS[which] + portOffset}`;
  const { enrolment, nodeRpc, delivery } = addressesOf(ORIGIN_PORTS, portOffset);
  const listen = { content: at("content"), site: at("site"), siteEnrolment: at("siteEnrolment"), admin: at("admin") };
  const contentUrl = `http://${at("contentLink")}`;
  const origin = { enrolment, nodeRpc, delivery };
  const probe = { listen: at("probe"), address: at("probeLink") };
  return {
    name,
    kind: "edge",
    main: "edge-node/main.ts",
    environmentFile: "deploy/programs/edge-node.env",
    dataDir,
    settings: { dataDir, name, origin, listen, probe, contentUrl, hostname: hostnameOf(pool.name) },
    adminUrl: `http://${listen.admin}`,
    join: { role: "edge", pool: pool.name },
  };
}

function planAgent({ data, portOffset }: PlanOptions, pool: PoolPlan): ProgramPlan {
  const name = agentNameOf(pool.name);
  const dataDir = `${data}/${name}`;
  const at = (which: keyof typeof POOL_PORTS) => `${HOST}:${pool.portBase + POOL_PORTS[which] + portOffset}`;
  const edge = { name: edgeNameOf(pool.name), control: at("site"), enrolment: at("siteEnrolment") };
  const listen = { websocket: at("websocket"), admin: at("agentAdmin") };
  const portBegin = pool.mediaBase + MEDIA_PORTS.agent + portOffset;
  const advertise = { address: HOST, portOffset: MEDIA_PORTS.link - MEDIA_PORTS.agent };
  const media = { bindAddress: HOST, portBegin, portEnd: portBegin + MEDIA_PORT_COUNT - 1, advertise };
  return {
    name,
    kind: "agent",
    main: "render-agent/main.ts",
    restartMsMin: AGENT_RESTART_MS_MIN,
    dataDir,
    settings: { dataDir, name, edges: [edge], listen, websocketUrl: `ws://${at("websocketLink")}`, media },
    adminUrl: `http://${listen.admin}`,
    join: { role: "agent", pool: pool.name },
  };
}

function planLinks({ portOffset }: PlanOptions, pool: PoolPlan): readonly LinkPlan[] {
  const at = (which: keyof typeof POOL_PORTS) => pool.portBase + POOL_PORTS[which] + portOffset;
  const common = { pool: pool.name, rttMs: pool.rttMs };
  const tcp = (listenPort: number, targetPort: number): LinkPlan => {
    return { ...common, protocol: "tcp", listenPort, targetPort, portCount: 1 };
  };
  const probe: LinkPlan = {
    ...common,
    protocol: "udp",
    listenPort: at("probeLink"),
    targetPort: at("probe"),
    portCount: 1,
  };
  const atEdge = [tcp(at("contentLink"), at("content")), probe];
  if (!pool.hasAgent) return atEdge;
  const media: LinkPlan = {
    ...common,
    protocol: "udp",
    listenPort: pool.mediaBase + MEDIA_PORTS.link + portOffset,
    targetPort: pool.mediaBase + MEDIA_PORTS.agent + portOffset,
    portCount: MEDIA_PORT_COUNT,
  };
  return [...atEdge, tcp(at("websocketLink"), at("websocket")), media];
}
