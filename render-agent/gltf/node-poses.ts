/** Where each node of a scene is at a time: its own transform, as animated, within its parent's. Pure. */
import { type Animation, sampleChannel } from "./animation.ts";
import type { PlacedNode } from "./hierarchy.ts";
import { type Matrix, matrixOf, multiplied, type Numbers, type Transform } from "./transforms.ts";

/** By the nodes' order. The animation is at its beginning again when it has ended. */
export function nodeMatrices(
  nodes: readonly PlacedNode[],
  animation: Animation | undefined,
  seconds: number,
): readonly Matrix[] {
  const moved = animation === undefined ? new Map() : movedAt(animation, seconds);
  const matrices: Matrix[] = [];
  for (const [place, { node, parent }] of nodes.entries()) {
    const own = node.matrix ?? matrixOf({ ...restOf(node), ...moved.get(place) });
    const above = matrices[parent];
    matrices.push(above === undefined ? own : multiplied(above, own));
  }
  return matrices;
}

function restOf({
  translation = [0, 0, 0],
  rotation = [0, 0, 0, 1],
  scale = [1, 1, 1],
}: PlacedNode["node"]): Transform {
  return { translation, rotation, scale };
}

function movedAt({ seconds: length, channels }: Animation, seconds: number): ReadonlyMap<number, Partial<Transform>> {
  const within = length === 0 ? 0 : seconds - Math.floor(seconds / length) * length;
  const moved = new Map<number, { -readonly [path in keyof Transform]?: Numbers }>();
  for (const channel of channels) {
    const own = moved.get(channel.node) ?? {};
    own[channel.path] = sampleChannel(channel, within);
    moved.set(channel.node, own);
  }
  return moved;
}
