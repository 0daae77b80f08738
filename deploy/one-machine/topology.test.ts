import t from "tap";
import type { TSchema } from "typebox";
import { edgeConfigSchema } from "#edge-node/config.ts";
import { originConfigSchema } from "#origin/config.ts";
import { loadConfig } from "#platform/config/load.ts";
import { agentConfigSchema, checkAgentConfig } from "#render-agent/config.ts";
import { schedulerConfigSchema } from "#scheduler/config.ts";
import { tcpPortsOf } from "./free-ports.ts";
import { type MachinePlan, PORT_OFFSET_MAX, type ProgramKind, planMachine } from "./topology.ts";

const SCHEMAS: Readonly<Record<ProgramKind, TSchema>> = {
  origin: originConfigSchema,
  scheduler: schedulerConfigSchema,
  edge: edgeConfigSchema,
  agent: agentConfigSchema,
};

const plan = (portOffset = 0): MachinePlan =>
  planMachine({ data: "/data", networksFile: "/networks.yaml", portOffset });

const programsOf = ({ origin, scheduler, edges, agents }: MachinePlan) => [origin, scheduler, ...edges, ...agents];

function mediaPortsOf({ links, agents }: MachinePlan): number[] {
  const range = (begin: number, count: number) => Array.from({ length: count }, (_, index) => begin + index);
  const ofLinks = links
    .filter(({ protocol }) => protocol === "udp")
    .flatMap((link) => range(link.listenPort, link.portCount));
  const ofAgents = agents.flatMap(({ settings }) => {
    const { media } = loadConfig(agentConfigSchema, { text: JSON.stringify(settings) });
    return range(media.portBegin, media.portEnd - media.portBegin + 1);
  });
  return [...ofLinks, ...ofAgents];
}

t.test("each program accepts its settings", async (t) => {
  for (const { name, kind, settings } of programsOf(plan(1000))) {
    t.doesNotThrow(() => loadConfig(SCHEMAS[kind], { text: JSON.stringify(settings) }), name);
    if (kind !== "agent") continue;
    t.doesNotThrow(() => checkAgentConfig(loadConfig(agentConfigSchema, { text: JSON.stringify(settings) })), name);
  }
});

t.test("no two listeners share a port, and an offset moves all of them", async (t) => {
  for (const portsOf of [tcpPortsOf, mediaPortsOf]) {
    const ports = portsOf(plan());
    t.ok(ports.length > 20, `${ports.length} ports`);
    t.equal(new Set(ports).size, ports.length, "all different");
    t.strictSame(
      portsOf(plan(1000)),
      ports.map((port) => port + 1000),
    );
    t.ok(Math.max(...portsOf(plan(PORT_OFFSET_MAX))) <= 65_535);
  }
});

t.test("what clients are told is a link of the pool's distance to what the program listens on", async (t) => {
  const { edges, agents, links } = plan();
  const portOf = (address: string) => Number(/:(\d+)$/.exec(address)?.[1]);
  const targetOf = (protocol: string, listenPort: number) =>
    links.find((link) => link.protocol === protocol && link.listenPort === listenPort)?.targetPort;
  for (const { name, settings } of edges) {
    const { contentUrl, listen } = loadConfig(edgeConfigSchema, { text: JSON.stringify(settings) });
    t.equal(targetOf("tcp", portOf(contentUrl)), portOf(listen.content), name);
  }
  for (const { name, settings } of agents) {
    const { websocketUrl, listen, media } = loadConfig(agentConfigSchema, { text: JSON.stringify(settings) });
    t.equal(targetOf("tcp", portOf(websocketUrl ?? "")), portOf(listen.websocket), name);
    t.equal(targetOf("udp", media.portBegin + (media.advertise?.portOffset ?? 0)), media.portBegin, name);
  }
  const distances = new Map(links.map(({ pool, rttMs }) => [pool, rttMs]));
  t.strictSame(
    [...distances],
    [
      ["near", 4],
      ["middle", 18],
      ["far", 60],
    ],
  );
});

t.test("agents dial the edge of their own pool", async (t) => {
  const { agents, edges } = plan();
  t.strictSame(
    agents.map(({ join }) => join),
    [
      { role: "agent", pool: "near" },
      { role: "agent", pool: "middle" },
    ],
  );
  for (const { name, settings, join } of agents) {
    const edge = edges.find((candidate) => candidate.join?.pool === join?.pool);
    const { listen } = loadConfig(edgeConfigSchema, { text: JSON.stringify(edge?.settings) });
    const { edges: dialled } = loadConfig(agentConfigSchema, { text: JSON.stringify(settings) });
    t.strictSame(dialled, [{ name: edge?.name, control: listen.site, enrolment: listen.siteEnrolment }], name);
  }
});
