/** Which edges a node may ask for what it lacks, and who may ask it: by the set that it holds. Pure. */
import type { Resources } from "#contracts/codec/set-state.ts";
import type { NodePoolSpec } from "#domain/fleet/node-pool.ts";
import type { RevocationSpec } from "#domain/fleet/revocation.ts";
import type { Resource } from "#domain/resource.ts";
import { resourcesOf } from "../desired-state/desired-view.ts";

/** Another edge, and where it listens to edges. */
export interface Peer {
  readonly name: string;
  readonly pool: string;
  /** `host:port` */
  readonly address: string;
}

export interface TierView {
  readonly self: string;
  /** Whether others may take this node for the home of a key. */
  readonly isMember: boolean;
  readonly siblings: readonly Peer[];
  /** The edges of the parent pool. */
  readonly parents: readonly Peer[];
  /** The pools whose edges may ask this node as their parent. */
  readonly childPools: ReadonlySet<string>;
}

export interface Self {
  readonly name: string;
  readonly pool: string;
}

/** A node that drains gives its keys away before it goes; one that was revoked is asked nothing. */
export function tierViewOf(
  resources: Resources,
  self: Self,
  isRevoked: (subject: RevocationSpec["subject"]) => boolean,
): TierView {
  const pools = new Map([...resourcesOf(resources, "NodePool")].map(({ metadata, spec }) => [metadata.name, spec]));
  const parent = parentOf(self.pool, pools);
  const peers = [...resourcesOf(resources, "Node")]
    .filter(({ metadata }) => !isRevoked({ kind: "node", name: metadata.name }))
    .flatMap(peerOf);
  const own = peers.filter(({ pool }) => pool === self.pool);
  const hasSiblings = pools.get(self.pool)?.relay === true;
  return {
    self: self.name,
    isMember: own.some(({ name }) => name === self.name),
    siblings: hasSiblings ? own.filter(({ name }) => name !== self.name) : [],
    parents: parent === undefined ? [] : peers.filter(({ pool }) => pool === parent),
    childPools: new Set([...pools.keys()].filter((pool) => parentOf(pool, pools) === self.pool)),
  };
}

function peerOf({ metadata, spec }: Resource<"Node">): readonly Peer[] {
  const { role, pool, peerAddress: address, draining } = spec;
  return role === "edge" && address !== undefined && !draining ? [{ name: metadata.name, pool, address }] : [];
}

/** `undefined` also where pools are each other's parents in a circle: none of them has one then. */
export function parentOf(pool: string, pools: ReadonlyMap<string, Pick<NodePoolSpec, "parent">>): string | undefined {
  const seen = new Set([pool]);
  for (let next = pools.get(pool)?.parent; next !== undefined; next = pools.get(next)?.parent) {
    if (next === pool) return undefined;
    if (seen.has(next)) break;
    seen.add(next);
  }
  return pools.get(pool)?.parent;
}
