/** The pools of a simulation from what operators say of the fleet and what its render-agents report. Pure. */
import type { Coordinates } from "../geography.ts";
import type { Labels } from "../placement/labels.ts";
import type { DayApp, DayPool, PoolClass } from "./day.ts";
import type { PoolReport, ReportedAgent } from "./pool-reports.ts";

/** Of a pool whose agents have reported nothing: slots of any class. */
export const SLOTS_LABEL = "perigee.dev/slots";
/** Where a pool has other than one GPU for each agent, or no agent yet. */
export const GPUS_LABEL = "perigee.dev/gpus";
/** Render and encode p95 of a pool whose agents have reported nothing. */
export const RENDER_ENCODE_LABEL = "perigee.dev/render-encode-ms";
/** What an hour of a slot in use costs, in any currency. */
export const COST_LABEL = "perigee.dev/slot-hour-cost";

/** Hardware encoding at 72 Hz: leaves a strict session some 10 ms. */
const RENDER_ENCODE_MS_DEFAULT = 12;

export interface StatedPool {
  readonly metadata: { readonly name: string; readonly labels: Labels };
  readonly spec: { readonly region: string; readonly coordinates: Coordinates };
}

export interface StatedNode {
  readonly name: string;
  readonly role: string;
  readonly pool: string;
  readonly cordoned: boolean;
  readonly draining: boolean;
  readonly isDead: boolean;
}

export interface FleetParts {
  readonly pools: readonly StatedPool[];
  readonly nodes: readonly StatedNode[];
  /** By pool, where any of its edges has told. */
  readonly reports: ReadonlyMap<string, PoolReport>;
  readonly apps: readonly DayApp[];
}

export interface FleetPools {
  readonly pools: readonly DayPool[];
  /** Names of agents that are enrolled and have said nothing: how much their pools hold is not known. */
  readonly silentAgents: readonly string[];
  /** Names of pools that hold nothing, as far as is known. */
  readonly emptyPools: readonly string[];
}

/** What agents report goes before what labels say. */
export function fleetPools({ pools, nodes, reports, apps }: FleetParts): FleetPools {
  const reported = new Map([...reports.values()].flatMap(({ agents }) => agents.map((agent) => [agent.agent, agent])));
  const sites = [...new Set(apps.flatMap(({ bundle }) => bundle?.site ?? []))];
  const classes = [...new Set(apps.flatMap(({ spec }) => spec.classes.map(({ name }) => name)))];
  const membersOf = Map.groupBy(nodes, ({ pool }) => pool);
  const made = pools.map((pool): DayPool => {
    const members = membersOf.get(pool.metadata.name) ?? [];
    const open = members.filter(({ role, cordoned, draining }) => role === "agent" && !cordoned && !draining);
    const heard = open.flatMap(({ name }) => reported.get(name) ?? []);
    return poolOf(pool, { members, heard, classes, sites, report: reports.get(pool.metadata.name) });
  });
  const silent = nodes.filter(({ role, name }) => role === "agent" && !reported.has(name));
  const holdsNothing = ({ classes: held }: DayPool) => held.every(({ slots }) => slots === 0);
  return {
    pools: made,
    silentAgents: silent.map(({ name }) => name),
    emptyPools: made.filter(holdsNothing).map(({ name }) => name),
  };
}

function poolOf(
  { metadata, spec }: StatedPool,
  of: {
    readonly members: readonly StatedNode[];
    readonly heard: readonly ReportedAgent[];
    readonly classes: readonly string[];
    readonly sites: readonly string[];
    readonly report: PoolReport | undefined;
  },
): DayPool {
  const { name, labels } = metadata;
  const living = of.members.filter(({ role, isDead }) => role === "edge" && !isDead);
  const hasEdges = of.members.some(({ role }) => role === "edge");
  const slotHourCost = numberOfLabel(labels, COST_LABEL);
  const gpus = numberOfLabel(labels, GPUS_LABEL) ?? (of.heard.length > 0 ? of.heard.length : undefined);
  return {
    ...{ name, labels, region: spec.region, coordinates: spec.coordinates },
    classes: of.heard.length > 0 ? reportedClasses(of.heard) : labelledClasses(labels, of.classes),
    // Of a pool without edges nothing is known but what is planned.
    reachable: !hasEdges || living.length > 0,
    cordoned: living.length > 0 && living.every(({ cordoned, draining }) => cordoned || draining),
    draining: living.length > 0 && living.every(({ draining }) => draining),
    ...(slotHourCost === undefined ? {} : { slotHourCost }),
    ...(gpus === undefined ? {} : { gpus }),
    scenes: scenesOf(of.report, { sites: of.sites, hasEdges }),
  };
}

/** As schedulers take it: a pool whose edges have reported nothing lacks nothing. One that is only planned holds nothing. */
function scenesOf(
  report: PoolReport | undefined,
  { sites, hasEdges }: { readonly sites: readonly string[]; readonly hasEdges: boolean },
): NonNullable<DayPool["scenes"]> {
  if (report === undefined) return { sites: hasEdges ? sites : [] };
  const { roomBytes } = report;
  const held = report.sites.flatMap(({ site, isHeld }) => (isHeld && sites.includes(site) ? [site] : []));
  return { sites: held, ...(roomBytes === undefined ? {} : { roomBytes }) };
}

function reportedClasses(heard: readonly ReportedAgent[]): PoolClass[] {
  const slots = Map.groupBy(
    heard.flatMap((agent) => agent.slots),
    ({ renderClass }) => renderClass,
  );
  return [...slots].map(([renderClass, counts]) => ({
    renderClass,
    slots: counts.reduce((sum, { total }) => sum + total, 0),
    renderEncodeMsP95: Math.max(...counts.map(({ frameMsP95 }) => frameMsP95)),
  }));
}

function labelledClasses(labels: Labels, classes: readonly string[]): PoolClass[] {
  const slots = Math.floor(numberOfLabel(labels, SLOTS_LABEL) ?? 0);
  const renderEncodeMsP95 = numberOfLabel(labels, RENDER_ENCODE_LABEL) ?? RENDER_ENCODE_MS_DEFAULT;
  return slots === 0 ? [] : classes.map((renderClass) => ({ renderClass, slots, renderEncodeMsP95 }));
}

/** Undefined where the label is missing, or is no number from 0. */
export function numberOfLabel(labels: Labels, label: string): number | undefined {
  const text = Object.hasOwn(labels, label) ? labels[label] : undefined;
  return text !== undefined && /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}
