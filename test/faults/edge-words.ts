/** What an edge and its origin say while a fault is on: metrics, link, applied revision, log records. */
import { readFileSync } from "node:fs";
import { api, markForAll, type OperatorApi } from "#test/edge-origin/edge-and-origin.ts";
import type { Edge, Member, Origin } from "#test/end-to-end/fleet.ts";
import { ask } from "#test/end-to-end/http-client.ts";
import { type Patience, untilSo } from "#test/end-to-end/waiting.ts";

/** Reconnection waits at most 30 s between two tries. */
const RECONNECT_MS_MAX = 60_000;

/** The sum over its labels, or over those with `labels`; 0 where it is not there. */
export async function metricOf({ admin }: Pick<Edge, "admin">, name: string, labels = ""): Promise<number> {
  const { body } = await ask(admin, "/metrics");
  return body
    .toString()
    .split("\n")
    .filter((line) => line.startsWith(`perigee_edge_node_${name}`) && line.includes(labels))
    .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

export async function untilLink(
  edge: Edge,
  up: 0 | 1,
  patience: Patience = { limitMs: RECONNECT_MS_MAX },
): Promise<void> {
  const isSo = (value: number): boolean => value === up;
  await untilSo(`the link of ${edge.name} is ${up}`, () => metricOf(edge, "origin_link_up"), isSo, patience);
}

export function operatorOf({ listen, operatorToken }: Origin): OperatorApi {
  return { origin: { addresses: listen }, operatorToken };
}

/** The log's newest revision. */
export async function revisionOf(origin: Origin): Promise<number> {
  const { revision }: { revision: number } = JSON.parse(await api(operatorOf(origin), "GET", "/v1/resources/NodePool"));
  return revision;
}

/** The edge has all of the log as it is now. */
export async function untilApplied(edge: Edge, origin: Origin): Promise<void> {
  const revision = await markForAll(operatorOf(origin));
  await untilSo(
    `${edge.name} has revision ${revision}`,
    () => metricOf(edge, "applied_revision"),
    (applied) => applied >= revision,
    { limitMs: RECONNECT_MS_MAX },
  );
}

export interface LogRecord {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** What it has logged since its first start, that has these words. */
export function logged({ spec }: Member, msg: string): readonly LogRecord[] {
  const lines = readFileSync(spec.logFile, "utf8").split("\n");
  return lines
    .filter((line) => line.includes(JSON.stringify(msg)) && line.endsWith("}"))
    .map((line): LogRecord => JSON.parse(line));
}

/** In requests as large as one may be. */
export async function apply(origin: Origin, documents: readonly object[]): Promise<void> {
  for (let at = 0; at < documents.length; at += DOCUMENTS_AT_ONCE) {
    const body = { documents: documents.slice(at, at + DOCUMENTS_AT_ONCE) };
    await api(operatorOf(origin), "POST", "/v1/apply", body);
  }
}

const DOCUMENTS_AT_ONCE = 500;
