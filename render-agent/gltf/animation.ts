/** What a file's first animation makes of its nodes at a time, over and over (glTF 2.0 section 3.11, appendix C). Pure. */
import type { AccessorReader } from "./accessors.ts";
import { entryOf, refuse } from "./gltf-fault.ts";
import type { Gltf, GltfAnimation } from "./gltf-schema.ts";
import type { PlacedNode } from "./hierarchy.ts";
import { type Numbers, normalized, slerped } from "./transforms.ts";

/** An hour at 30 a second; of all channels together. */
const ANIMATION_KEYS_MAX = 108_000;

type Path = "translation" | "rotation" | "scale";

export interface Channel {
  /** The node's place in the order. */
  readonly node: number;
  readonly path: Path;
  readonly interpolation: "LINEAR" | "STEP" | "CUBICSPLINE";
  readonly times: Float32Array;
  readonly values: Float32Array;
}

export interface Animation {
  readonly seconds: number;
  readonly channels: readonly Channel[];
}

/** Throws `scene-invalid`. Channels of nodes that are not in the scene are left out. */
export function readAnimation(json: Gltf, nodes: readonly PlacedNode[], reader: AccessorReader): Animation | undefined {
  const [animation] = json.animations ?? [];
  if (animation === undefined) return undefined;
  const places = new Map(nodes.map(({ source }, place) => [source, place]));
  const channels: Channel[] = [];
  const targets = new Set<string>();
  let keysLeft = ANIMATION_KEYS_MAX;
  for (const [index, { sampler, target }] of animation.channels.entries()) {
    const at = `animations[0].channels[${index}]`;
    if (target.node === undefined) continue;
    const node = entryOf(json.nodes, target.node, `${at}.target.node`, "nodes");
    if (target.path === "weights")
      refuse(`${at}.target.path`, "must move, turn or scale: morph targets are not supported");
    if (node.matrix !== undefined) refuse(`${at}.target.node`, `must have no matrix, nodes[${target.node}] has one`);
    const key = `${target.node} ${target.path}`;
    if (targets.has(key)) refuse(`${at}.target`, `must not be animated twice: ${target.path} of nodes[${target.node}]`);
    targets.add(key);
    const read = readSampler(animation, { sampler, path: target.path, at, keysMax: keysLeft }, reader);
    keysLeft -= read.times.length;
    const place = places.get(target.node);
    if (place !== undefined) channels.push({ node: place, path: target.path, ...read });
  }
  const seconds = Math.max(0, ...channels.map(({ times }) => times.at(-1) ?? 0));
  return channels.length === 0 ? undefined : { seconds, channels };
}

interface SamplerWanted {
  readonly sampler: number;
  readonly path: Path;
  readonly at: string;
  readonly keysMax: number;
}

function readSampler(
  { samplers }: GltfAnimation,
  { sampler, path, at, keysMax }: SamplerWanted,
  reader: AccessorReader,
) {
  const { input, output, interpolation = "LINEAR" } = entryOf(samplers, sampler, `${at}.sampler`, "samplers");
  const from = `animations[0].samplers[${sampler}]`;
  const times = reader.floats(input, { path: `${from}.input`, types: ["SCALAR"], countMax: keysMax, isFloat: true });
  const bad = times.values.findIndex((time, key) => (key === 0 ? time < 0 : time <= (times.values[key - 1] ?? 0)));
  if (bad !== -1) refuse(`${from}.input`, `must grow from 0 or later, got ${times.values[bad]} at ${bad}`);
  const perKey = interpolation === "CUBICSPLINE" ? 3 : 1;
  const { values, count } = reader.floats(output, {
    path: `${from}.output`,
    types: [path === "rotation" ? "VEC4" : "VEC3"],
    countMax: times.count * perKey,
    isFloat: true,
  });
  if (count !== times.count * perKey) {
    refuse(`${from}.output`, `must have ${times.count * perKey} values for ${times.count} keys, got ${count}`);
  }
  // Not as views: they would keep the whole file in memory for as long as it is drawn.
  return { interpolation, times: times.values.slice(), values: values.slice() };
}

/** At `seconds` into it; before the first key the first value holds, after the last the last. */
export function sampleChannel({ path, interpolation, times, values }: Channel, seconds: number): Numbers {
  const components = path === "rotation" ? 4 : 3;
  const at = (element: number): number[] => [...values.subarray(element * components, (element + 1) * components)];
  const isCubic = interpolation === "CUBICSPLINE";
  const valueAt = (key: number): number[] => at(isCubic ? key * 3 + 1 : key);
  const next = times.findIndex((time) => time > seconds);
  if (next === 0) return valueAt(0);
  if (next === -1) return valueAt(times.length - 1);
  const key = next - 1;
  if (interpolation === "STEP") return valueAt(key);
  const [start = 0, end = 0] = [times[key], times[next]];
  const ratio = (seconds - start) / (end - start);
  if (isCubic) {
    const value = hermite(
      { from: valueAt(key), leaving: at(key * 3 + 2), to: valueAt(next), arriving: at(next * 3) },
      ratio,
      end - start,
    );
    return path === "rotation" ? normalized(value) : value;
  }
  if (path === "rotation") return slerped(normalized(valueAt(key)), normalized(valueAt(next)), ratio);
  const to = valueAt(next);
  return valueAt(key).map((part, index) => part + ((to[index] ?? 0) - part) * ratio);
}

interface Span {
  readonly from: Numbers;
  readonly leaving: Numbers;
  readonly to: Numbers;
  readonly arriving: Numbers;
}

function hermite({ from, leaving, to, arriving }: Span, ratio: number, seconds: number): number[] {
  const [square, cube] = [ratio ** 2, ratio ** 3];
  return from.map(
    (part, index) =>
      part * (2 * cube - 3 * square + 1) +
      (leaving[index] ?? 0) * seconds * (cube - 2 * square + ratio) +
      (to[index] ?? 0) * (3 * square - 2 * cube) +
      (arriving[index] ?? 0) * seconds * (cube - square),
  );
}
