/** The fleet that a simulation is of: as the origin has it, or as files say it. */
import Type, { type Static, type TSchema } from "typebox";
import { Value } from "typebox/value";
import { parseResourceInput, type ResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { Failure } from "#domain/failure.ts";
import { API_VERSION } from "#domain/resource.ts";
import type { DayApp } from "#domain/simulation/day.ts";
import { type FleetPools, fleetPools, type StatedNode, type StatedPool } from "#domain/simulation/fleet-pools.ts";
import {
  dayAppOf,
  type EdgeReport,
  mergeReports,
  type PoolReport,
  withReportedSizes,
} from "#domain/simulation/pool-reports.ts";
import type { WrittenPolicy } from "#platform/cel/worlds.ts";
import type { Api } from "../commands/session.ts";
import { fieldOf, itemsOf, textOf } from "../output.ts";
import { readResourceFiles } from "../resource-files.ts";

export interface StatedFleet {
  readonly pools: readonly StatedPool[];
  readonly nodes: readonly StatedNode[];
  /** By pool, where any of its edges has told. */
  readonly reports: ReadonlyMap<string, PoolReport>;
  readonly apps: readonly DayApp[];
  readonly policies: readonly WrittenPolicy[];
}

const count = Type.Number({ minimum: 0 });
const siteSchema = Type.Object({
  ...{ site: Type.String(), activeGeneration: count, desiredGeneration: count, objectsMissing: count },
  releaseBytes: Type.Optional(count),
});
const agentSchema = Type.Object({
  agent: Type.String(),
  slots: Type.Array(Type.Object({ renderClass: Type.String(), total: count, frameMsP95: count })),
});

export async function fetchFleet(api: Api): Promise<StatedFleet> {
  const list = async (path: string) => itemsOf(await api.origin({ method: "GET", path }));
  const pools = (await list("/v1/resources/NodePool")).map(resourceOf);
  const apps = (await list("/v1/resources/RenderApp")).map(resourceOf);
  const policies = (await list("/v1/resources/PlacementPolicy")).map(resourceOf);
  const nodes = await list("/v1/nodes");
  const told = nodes.filter((node) => fieldOf(node, "status", "status") !== undefined).map(reportOf);
  const byPool = Map.groupBy(told, ({ pool }) => pool);
  const reports = new Map([...byPool].map(([pool, of]) => [pool, mergeReports(of)]));
  return { ...statedOf([...pools, ...apps, ...policies]), nodes: nodes.map(nodeOf), reports };
}

/** Throws `argument-invalid` with file and line of every fault. */
export function readFleetFiles(paths: readonly string[]): StatedFleet {
  return { ...statedOf(readResourceFiles(paths).map(({ input }) => input)), nodes: [], reports: new Map() };
}

/** With the pools, apps and policies among the inputs in place of those of the same name. */
export function amendFleet(fleet: StatedFleet, inputs: readonly ResourceInput[]): StatedFleet {
  const written = statedOf(inputs);
  return {
    ...fleet,
    pools: replaced(fleet.pools, written.pools, ({ metadata }) => metadata.name),
    apps: replaced(fleet.apps, written.apps, ({ name }) => name),
    policies: replaced(fleet.policies, written.policies, ({ name }) => name),
  };
}

export function poolsOf(fleet: StatedFleet): FleetPools {
  return fleetPools({ ...fleet, apps: appsOf(fleet) });
}

/** With the sizes of their bundles, where they are known. */
export function appsOf({ apps, reports }: StatedFleet): readonly DayApp[] {
  return withReportedSizes(apps, [...reports.values()]);
}

function replaced<T>(stored: readonly T[], written: readonly T[], nameOf: (item: T) => string): readonly T[] {
  const names = new Set(written.map(nameOf));
  return [...stored.filter((item) => !names.has(nameOf(item))), ...written];
}

function statedOf(inputs: readonly ResourceInput[]): Pick<StatedFleet, "pools" | "apps" | "policies"> {
  return {
    pools: inputs.flatMap((input) => (input.kind === "NodePool" ? [input] : [])),
    apps: inputs.flatMap((input) => (input.kind === "RenderApp" ? [dayAppOf(input)] : [])),
    policies: inputs.flatMap((input) =>
      input.kind === "PlacementPolicy" ? [{ name: input.metadata.name, spec: input.spec }] : [],
    ),
  };
}

function resourceOf(item: unknown): ResourceInput {
  const [kind, name] = [textOf(fieldOf(item, "kind")), textOf(fieldOf(item, "metadata", "name"))];
  const metadata = { name, labels: fieldOf(item, "metadata", "labels") ?? {} };
  const parsed = parseResourceInput({ apiVersion: API_VERSION, kind, metadata, spec: fieldOf(item, "spec") });
  if (parsed.kind === "valid") return parsed.input;
  throw new Failure("upstream-malformed", `${kind} ${name} is of another version than this command`);
}

function nodeOf(item: unknown): StatedNode {
  return {
    name: textOf(fieldOf(item, "metadata", "name")),
    role: textOf(fieldOf(item, "spec", "role")),
    pool: textOf(fieldOf(item, "spec", "pool")),
    cordoned: fieldOf(item, "spec", "cordoned") === true,
    draining: fieldOf(item, "spec", "draining") === true,
    isDead: fieldOf(item, "status", "liveness") === "dead",
  };
}

/** What of it this command understands. */
function reportOf(node: unknown): EdgeReport & { readonly pool: string } {
  const status = (field: string) => fieldOf(node, "status", "status", field);
  const storeBytesMax = status("storeBytesMax");
  return {
    pool: textOf(fieldOf(node, "spec", "pool")),
    agents: partsOf(agentSchema, status("agents")),
    sites: partsOf(siteSchema, status("sites")),
    storeBytesMax: typeof storeBytesMax === "number" ? storeBytesMax : 0,
  };
}

function partsOf<T extends TSchema>(schema: T, parts: unknown): readonly Static<T>[] {
  return Array.isArray(parts) ? parts.filter((part) => Value.Check(schema, part)) : [];
}
