/** The sample gallery as a .glb: balls of several materials on a tiled floor, and a ring that turns and floats. */
import { GlbBuilder } from "./glb-builder.ts";
import { pngOf } from "./png.ts";
import { ball, box, ring, square } from "./shapes.ts";

const TILE_PIXELS = 128;
const TURN_SECONDS = 8;

/** Materials of the balls, from left to right. */
const BALLS = [
  { name: "red plastic", baseColorFactor: [0.75, 0.03, 0.03, 1], metallicFactor: 0, roughnessFactor: 0.35 },
  { name: "gold", baseColorFactor: [1, 0.77, 0.34, 1], metallicFactor: 1, roughnessFactor: 0.25 },
  { name: "steel", baseColorFactor: [0.77, 0.78, 0.78, 1], metallicFactor: 1, roughnessFactor: 0.08 },
  { name: "chalk", baseColorFactor: [0.2, 0.35, 0.75, 1], metallicFactor: 0, roughnessFactor: 1 },
] as const;
const [FLOOR, STONE, RING] = [4, 5, 6];

const LIGHT = {
  sky: [0.5, 0.64, 0.82],
  sun: { towards: [0.4, 1, 0.6], colour: [0.9, 0.86, 0.78] },
  ambient: { above: [0.42, 0.46, 0.52], below: [0.2, 0.18, 0.16] },
  fogPerMetre: 0.01,
};

/** The same bytes every time. */
export function makeGallery(): Uint8Array {
  const glb = new GlbBuilder();
  const image = { bufferView: glb.bytes(tilePicture()), mimeType: "image/png" };
  const round = glb.primitive(ball(32, 16), 0);
  const meshes = [
    ...BALLS.map((_, material) => ({ primitives: [{ ...round, material }] })),
    { primitives: [glb.primitive(square(8), FLOOR)] },
    { primitives: [glb.primitive(box(), STONE)] },
    { primitives: [glb.primitive(ring(48, 16), RING)] },
  ];
  const [floorMesh, plinthMesh, ringMesh] = [BALLS.length, BALLS.length + 1, BALLS.length + 2];
  const across = BALLS.map((_, place) => (place - (BALLS.length - 1) / 2) * 1.5);
  const nodes = [
    ...across.map((x, mesh) => ({ mesh, translation: [x, 1.5, -4], scale: [0.5, 0.5, 0.5] })),
    ...across.map((x) => ({ mesh: plinthMesh, translation: [x, 0.5, -4], scale: [0.4, 0.5, 0.4] })),
    { mesh: floorMesh, scale: [12, 1, 12] },
    { name: "ring", mesh: ringMesh, translation: [0, 3.2, -5], scale: [0.8, 0.8, 0.8] },
  ];
  return glb.build({
    scene: 0,
    scenes: [{ nodes: [...nodes.keys()], extras: { perigee: LIGHT } }],
    nodes,
    meshes,
    materials: MATERIALS,
    textures: [{ source: 0, sampler: 0 }],
    samplers: [{ magFilter: 9729, minFilter: 9987, wrapS: 10_497, wrapT: 10_497 }],
    images: [image],
    animations: [turning(glb, nodes.length - 1)],
  });
}

const MATERIALS = [
  ...BALLS.map(({ name, ...pbrMetallicRoughness }) => ({ name, pbrMetallicRoughness })),
  {
    name: "floor",
    pbrMetallicRoughness: { baseColorTexture: { index: 0 }, metallicFactor: 0, roughnessFactor: 0.6 },
  },
  {
    name: "stone",
    pbrMetallicRoughness: { baseColorFactor: [0.4, 0.38, 0.35, 1], metallicFactor: 0, roughnessFactor: 0.9 },
  },
  {
    name: "ring",
    pbrMetallicRoughness: { baseColorFactor: [0.95, 0.64, 0.54, 1], metallicFactor: 1, roughnessFactor: 0.3 },
    emissiveFactor: [0.12, 0.04, 0.02],
  },
];

/** Around an axis that leans, up and down once a turn. */
function turning(glb: GlbBuilder, node: number) {
  const quarters = [0, 1, 2, 3, 4];
  const input = glb.floats(quarters.map((quarter) => (quarter / 4) * TURN_SECONDS), 1);
  const turns = quarters.flatMap((quarter) => {
    const half = (quarter / 4) * Math.PI;
    return [0.6 * Math.sin(half), 0, 0.8 * Math.sin(half), Math.cos(half)];
  });
  const still = [0, 0, 0];
  const heights = quarters.flatMap((quarter) => [...still, 0, 3.2 + 0.3 * Math.sin((quarter * Math.PI) / 2), -5, ...still]);
  return {
    name: "turning",
    channels: [
      { sampler: 0, target: { node, path: "rotation" } },
      { sampler: 1, target: { node, path: "translation" } },
    ],
    samplers: [
      { input, output: glb.floats(turns, 4), interpolation: "LINEAR" },
      { input, output: glb.floats(heights, 3), interpolation: "CUBICSPLINE" },
    ],
  };
}

/** Four tiles, light and dark, with joints between them. */
function tilePicture(): Uint8Array {
  return pngOf({
    widthPixels: TILE_PIXELS,
    heightPixels: TILE_PIXELS,
    colourAt(x, y) {
      const half = TILE_PIXELS / 2;
      if (x % half < 2 || y % half < 2) return [70, 66, 62];
      return Math.floor(x / half) === Math.floor(y / half) ? [196, 188, 176] : [120, 112, 104];
    },
  });
}
