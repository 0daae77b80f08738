/** glTF scenes on this machine's Vulkan: what stands where, in which colour, and what moves. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { makeGallery } from "#deploy/one-machine/sample/scene/gallery.ts";
import { GlbBuilder, type Shape } from "#deploy/one-machine/sample/scene/glb-builder.ts";
import { pngOf } from "#deploy/one-machine/sample/scene/png.ts";
import { ball } from "#deploy/one-machine/sample/scene/shapes.ts";
import { drawPictures, type View } from "#test/render-agent/pictures.ts";
import { testFolder } from "#test/test-folder.ts";

type Json = Readonly<Record<string, unknown>>;
type Colour = readonly [red: number, green: number, blue: number];

/** The sun stands behind who looks, above and to the right. */
const DARK = {
  sky: [0, 0, 0],
  sun: { towards: [0.6, 0.6, 1], colour: [1, 1, 1] },
  ambient: { above: [0, 0, 0], below: [0, 0, 0] },
  fogPerMetre: 0,
};
const FRONT: View = { position: [0, 0, 0] };

async function draw(t: Test, glb: Uint8Array, views: readonly View[]) {
  const sceneFile = join(testFolder(t), "scene.glb");
  writeFileSync(sceneFile, glb);
  return drawPictures({ sceneFile, views });
}

const isNear = (a: Colour, b: Colour, within: number): boolean =>
  a.every((part, index) => Math.abs(part - (b[index] ?? 0)) <= within);

const SQUARE: Shape = {
  positions: [-1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 1, 0],
  normals: [0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1],
  textureCoordinates: [0, 1, 1, 1, 1, 0, 0, 0],
  indices: [0, 1, 2, 0, 2, 3],
};
const TANGENTS = [1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1];
const { normals: _normals, ...FACETS } = SQUARE;
const MATT = { metallicFactor: 0, roughnessFactor: 1 };
const GREY = { pbrMetallicRoughness: { ...MATT, baseColorFactor: [0.5, 0.5, 0.5, 1] } };
const UNLIT = { extensions: { KHR_materials_unlit: {} } };
const [PATTERN, RIGHT, UP] = [0, 1, 2];
const QUADRANTS: readonly Colour[] = [
  [255, 0, 0],
  [0, 255, 0],
  [0, 0, 255],
  [255, 255, 0],
];
/** Leaning by 27°. */
const leaning = (x: number, y: number): Colour => [128 + x * 57, 128 + y * 57, 242];

interface Tile {
  readonly material: Json;
  readonly shape?: Shape;
  readonly node?: Json;
}

/** One square each, facing who looks. */
const TILES: Readonly<Record<string, Tile>> = {
  grey: { material: GREY },
  pattern: { material: { ...UNLIT, pbrMetallicRoughness: { baseColorTexture: { index: PATTERN } } } },
  hole: { material: { ...UNLIT, alphaMode: "MASK", pbrMetallicRoughness: { baseColorFactor: [1, 1, 1, 0.4] } } },
  cover: { material: { ...UNLIT, alphaMode: "MASK", pbrMetallicRoughness: { baseColorFactor: [1, 1, 1, 0.6] } } },
  glass: { material: { ...UNLIT, alphaMode: "BLEND", pbrMetallicRoughness: { baseColorFactor: [1, 1, 1, 0.5] } } },
  away: { material: GREY, node: { rotation: [0, 1, 0, 0] } },
  "both sides": { material: { ...GREY, doubleSided: true }, node: { rotation: [0, 1, 0, 0] } },
  mirrored: { material: GREY, node: { scale: [-0.3, 0.3, 0.3] } },
  facets: { material: GREY, shape: FACETS },
  "leaning right": { material: { ...GREY, normalTexture: { index: RIGHT } } },
  "leaning right, tangents": {
    material: { ...GREY, normalTexture: { index: RIGHT } },
    shape: { ...SQUARE, tangents: TANGENTS },
  },
  "leaning up": { material: { ...GREY, normalTexture: { index: UP } } },
  "leaning up, tangents": {
    material: { ...GREY, normalTexture: { index: UP } },
    shape: { ...SQUARE, tangents: TANGENTS },
  },
  glow: { material: { pbrMetallicRoughness: { ...MATT, baseColorFactor: [0, 0, 0, 1] }, emissiveFactor: [0, 0.5, 0] } },
  metal: {
    material: { pbrMetallicRoughness: { metallicFactor: 1, roughnessFactor: 0.6, baseColorFactor: [1, 0, 0, 1] } },
  },
  "coloured corners": {
    material: UNLIT,
    shape: { ...SQUARE, colours: [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1] },
  },
};
const COLUMNS = 4;
const SPACING = 0.9;

const placeOf = (index: number) => ({
  x: ((index % COLUMNS) - (COLUMNS - 1) / 2) * SPACING,
  y: (1.5 - Math.floor(index / COLUMNS)) * SPACING,
});

function makeWall(): Uint8Array {
  const glb = new GlbBuilder();
  const picture = (colourAt: (x: number, y: number) => Colour): number =>
    glb.bytes(pngOf({ widthPixels: 16, heightPixels: 16, colourAt }));
  const images = [
    picture((x, y) => QUADRANTS[(x < 8 ? 0 : 1) + (y < 8 ? 0 : 2)] ?? [0, 0, 0]),
    picture(() => leaning(1, 0)),
    picture(() => leaning(0, 1)),
  ].map((bufferView) => ({ bufferView, mimeType: "image/png" }));
  const tiles = Object.values(TILES);
  const nodes = tiles.map(({ node }, index) => {
    const { x, y } = placeOf(index);
    return { mesh: index, translation: [x, y, -2], scale: [0.3, 0.3, 0.3], ...node };
  });
  return glb.build({
    scenes: [{ nodes: [...nodes.keys()], extras: { perigee: DARK } }],
    nodes,
    meshes: tiles.map(({ shape = SQUARE }, material) => ({ primitives: [glb.primitive(shape, material)] })),
    materials: tiles.map(({ material }) => material),
    textures: images.map((_, source) => ({ source })),
    images,
  });
}

t.test("materials look as their factors, textures and modes say", async (t) => {
  const [picture] = await draw(t, makeWall(), [FRONT]);
  const seen = (name: string, right = 0, up = 0): Colour => {
    const { x, y } = placeOf(Object.keys(TILES).indexOf(name));
    return picture?.at((x + right * 0.3) / 4 + 0.5, 0.5 - (y + up * 0.3) / 4) ?? [0, 0, 0];
  };
  // Of albedo 0.5, of which 0.96 is not reflected at once: 0.48 × cos 40° and a little shine, encoded as sRGB.
  t.ok(isNear(seen("grey"), [165, 165, 165], 5), `grey is ${seen("grey")}`);
  const corners = [
    [-0.5, 0.5],
    [0.5, 0.5],
    [-0.5, -0.5],
    [0.5, -0.5],
  ] as const;
  for (const [index, [right, up]] of corners.entries()) {
    const colour = seen("pattern", right, up);
    t.ok(isNear(colour, QUADRANTS[index] ?? [0, 0, 0], 3), `quadrant ${index} of the pattern is ${colour}`);
  }
  t.same(seen("hole"), [0, 0, 0], "below the cut-off nothing is drawn");
  t.same(seen("cover"), [255, 255, 255], "above it all of it");
  t.ok(isNear(seen("glass"), [128, 128, 128], 3), `half of white before black is ${seen("glass")}`);
  t.same(seen("away"), [0, 0, 0], "the back is not seen");
  for (const name of ["both sides", "mirrored", "facets"]) {
    t.ok(isNear(seen(name), seen("grey"), 4), `${name} is as grey: ${seen(name)}`);
  }
  for (const way of ["leaning right", "leaning up"]) {
    t.ok(seen(way)[0] > seen("grey")[0] + 2, `${way} towards the sun is brighter: ${seen(way)}`);
    t.ok(isNear(seen(way), seen(`${way}, tangents`), 3), `as with tangents: ${seen(`${way}, tangents`)}`);
  }
  const [, glow] = seen("glow");
  t.ok(Math.abs(glow - 188) < 5, `what shines by itself is ${glow}`);
  const [metalRed, metalGreen] = seen("metal");
  t.ok(metalRed > 60 && metalGreen === 0, `metal reflects in its colour: ${seen("metal")}`);
  t.same(seen("coloured corners"), [0, 0, 255]);
});

t.test("a red ball is where its node is, and moves with it", async (t) => {
  const glb = new GlbBuilder();
  const red = {
    pbrMetallicRoughness: { baseColorFactor: [0.8, 0.02, 0.02, 1], metallicFactor: 0.2, roughnessFactor: 0.5 },
  };
  const animation = {
    channels: [{ sampler: 0, target: { node: 0, path: "translation" } }],
    samplers: [{ input: glb.floats([0, 2], 1), output: glb.floats([-1, 0, 0, 3, 0, 0], 3) }],
  };
  const scene = glb.build({
    scenes: [{ nodes: [1], extras: { perigee: DARK } }],
    nodes: [
      { mesh: 0, scale: [0.5, 0.5, 0.5] },
      { children: [0], translation: [0, 0.5, -2] },
    ],
    meshes: [{ primitives: [glb.primitive(ball(24, 12), 0)] }],
    materials: [red],
    animations: [animation],
  });
  const [first, second] = await draw(t, scene, [FRONT, { ...FRONT, seconds: 1 }]);
  const isRed = (colour: Colour | undefined): boolean =>
    colour !== undefined && colour[0] > 100 && colour[1] < 90 && colour[2] < 90;
  // A quarter to the left and to the right of the middle, an eighth above it.
  const [left, right] = [0.25, 0.75];
  t.ok(isRed(first?.at(left, 0.375)), `at first on the left: ${first?.at(left, 0.375)}`);
  t.same(first?.at(right, 0.375), [0, 0, 0]);
  t.ok(isRed(second?.at(right, 0.375)), `a second later on the right: ${second?.at(right, 0.375)}`);
  t.same(second?.at(left, 0.375), [0, 0, 0]);
  t.same(first?.at(left, 0.7), [0, 0, 0], "and not below");
});

t.test("the gallery has its red ball, its tiles and its turning ring", async (t) => {
  const eye = { position: [0, 1.6, 0] } as const;
  const [first, later] = await draw(t, makeGallery(), [eye, { ...eye, seconds: 2 }]);
  const [red = 0, green = 0] = first?.at(0.22, 0.51) ?? [];
  t.ok(red > green * 2, `the ball on the left is ${first?.at(0.22, 0.51)}`);
  const [[dark = 0] = [], [light = 0] = []] = [first?.at(0.25, 0.85), first?.at(0.75, 0.85)];
  t.ok(light > dark + 30, `tiles of ${dark} and ${light}`);
  const [before, after] = [first?.pixels ?? [], later?.pixels ?? []];
  t.ok(
    before.some((value, at) => Math.abs(value - (after[at] ?? 0)) > 30),
    "the ring has turned",
  );
});
