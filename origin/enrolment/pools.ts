/** Pools and their members: nodes join a pool that is there, and a pool that has nodes is not deleted. */
import { Failure } from "#domain/failure.ts";
import type { NodeRole } from "#domain/fleet/node.ts";
import type { ResourceLog, Write } from "../log/resource-log.ts";
import { getResource, listResources } from "../log/resources.ts";

/** Nodes named in a message; how many there are is always there. */
const NODES_SHOWN_MAX = 5;

/** A scheduler joins no pool. Throws `not-found`. */
export function checkPoolToJoin(log: ResourceLog, { role, pool }: { role: NodeRole; pool: string }): void {
  if (role === "scheduler" || log.find("NodePool", pool) !== undefined) return;
  throw new Failure("not-found", `NodePool ${pool} does not exist: apply it, then let nodes join it`);
}

/** Throws `resource-conflict` where it has nodes. */
export function checkPoolIsEmpty(log: ResourceLog, name: string): void {
  const nodes = listResources(log, "Node").filter(({ spec }) => spec.role !== "scheduler" && spec.pool === name);
  if (nodes.length > 0) {
    const shown = nodes.slice(0, NODES_SHOWN_MAX).map((node) => node.metadata.name);
    const more = nodes.length > shown.length ? ` and ${nodes.length - shown.length} more` : "";
    throw new Failure(
      "resource-conflict",
      `NodePool ${name} has the nodes ${shown.join(", ")}${more}: delete each first (perigee delete node ${shown[0]})`,
      { detail: { nodes: nodes.length } },
    );
  }
}

/** With what is said of its end. Throws `not-found`, or `resource-conflict` where it has nodes. */
export async function deletePool(log: ResourceLog, name: string, said: readonly Write[] = []): Promise<void> {
  const { resourceVersion: expectedRevision } = getResource(log, "NodePool", name).metadata;
  checkPoolIsEmpty(log, name);
  await log.write([{ kind: "NodePool", name, expectedRevision, render: () => undefined }, ...said]);
}
