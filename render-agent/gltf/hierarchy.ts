/** The nodes of a scene in an order in which parents come before their children. Pure. */
import { entryOf, refuse } from "./gltf-fault.ts";
import type { Gltf, GltfNode } from "./gltf-schema.ts";

export interface PlacedNode {
  /** Its number in the file. */
  readonly source: number;
  /** Its parent's place in the order; -1 of a root. */
  readonly parent: number;
  readonly node: GltfNode;
}

/** Of the file's default scene, or its first. Throws `scene-invalid` for cycles and second parents anywhere in the file. */
export function orderNodes(json: Gltf): readonly PlacedNode[] {
  const nodes = json.nodes ?? [];
  const parents = parentsOf(nodes);
  refuseCycles(nodes, parents);
  const sceneIndex = json.scene ?? 0;
  const scene = entryOf(json.scenes, sceneIndex, "scene", "scenes");
  const ordered: PlacedNode[] = [];
  const seen = new Set<number>();
  for (const [order, root] of (scene.nodes ?? []).entries()) {
    const path = `scenes[${sceneIndex}].nodes[${order}]`;
    const node = entryOf(nodes, root, path, "nodes");
    if (parents[root] !== -1) refuse(path, `must be a root, nodes[${root}] is a child of nodes[${parents[root]}]`);
    if (seen.has(root)) refuse(path, `must not be named twice, got ${root}`);
    seen.add(root);
    ordered.push({ source: root, parent: -1, node });
  }
  for (let place = 0; place < ordered.length; place += 1) {
    for (const child of ordered[place]?.node.children ?? []) {
      ordered.push({ source: child, parent: place, node: entryOf(nodes, child, `nodes[${child}]`, "nodes") });
    }
  }
  return ordered;
}

function parentsOf(nodes: readonly GltfNode[]): readonly number[] {
  const parents = nodes.map(() => -1);
  for (const [parent, { children = [] }] of nodes.entries()) {
    for (const [order, child] of children.entries()) {
      const path = `nodes[${parent}].children[${order}]`;
      entryOf(nodes, child, path, "nodes");
      if (parents[child] !== -1) {
        refuse(path, `must have one parent only, nodes[${child}] is a child of nodes[${parents[child]}] already`);
      }
      parents[child] = parent;
    }
  }
  return parents;
}

/** Where each node has at most one parent, what no root reaches is a cycle or hangs on one. */
function refuseCycles(nodes: readonly GltfNode[], parents: readonly number[]): void {
  const reached = nodes.flatMap((_, index) => (parents[index] === -1 ? [index] : []));
  for (let at = 0; at < reached.length; at += 1) reached.push(...(nodes[reached[at] ?? 0]?.children ?? []));
  if (reached.length === nodes.length) return;
  const all = new Set(reached);
  const cyclic = nodes.findIndex((_, index) => !all.has(index));
  refuse(`nodes[${cyclic}]`, "must not be its own ancestor");
}
