/** The scene that is rendered: 300 lit, patterned, instanced meshes around the viewer and a floor, the same every time. Pure. */
import { seededRandom } from "#platform/random.ts";
import type { Scene, SceneInstance } from "#render-agent/renderer/scene.ts";

const SEED = 1;
const MESHES = 300;
/** 100 each of 12, 80 and 40 triangles, and a floor of 2: 13,202 an eye. */
const SEGMENTS = 10;
const SHAPES = ["box", "ball", "column"] as const;
const PATTERNS = ["plain", "checker", "stripes"] as const;
const NEAREST_METRES = 3;
const DEPTH_METRES = 12;
const HEIGHT_METRES = 4;

/** Nothing in it moves of itself, so that a pose alone says what is seen. */
export function makeScene(): Scene {
  const random = seededRandom(SEED);
  const between = (from: number, to: number): number => from + random.ratio() * (to - from);
  const meshes = Array.from({ length: MESHES }, (_, index): SceneInstance => {
    const turn = between(0, 2 * Math.PI);
    const metres = between(NEAREST_METRES, NEAREST_METRES + DEPTH_METRES);
    const place = [Math.sin(turn) * metres, between(0, HEIGHT_METRES), -Math.cos(turn) * metres] as const;
    return {
      mesh: SHAPES[index % SHAPES.length] ?? "box",
      position: [...place],
      yawDegrees: between(0, 360),
      scale: [between(0.2, 0.6), between(0.2, 0.6), between(0.2, 0.6)],
      colour: [between(0.2, 1), between(0.2, 1), between(0.2, 1)],
      pattern: PATTERNS[Math.floor(index / SHAPES.length) % PATTERNS.length] ?? "plain",
      glowRatio: 0,
      turnDegreesPerSecond: 0,
    };
  });
  const still = { yawDegrees: 0, glowRatio: 0, turnDegreesPerSecond: 0 };
  return {
    format: "perigee-scene/1",
    sky: [0.32, 0.5, 0.78],
    sun: { towards: [0.45, 0.8, 0.35], colour: [0.95, 0.9, 0.8] },
    ambient: { above: [0.3, 0.36, 0.45], below: [0.17, 0.15, 0.13] },
    fogPerMetre: 0.012,
    meshes: {
      floor: { shape: "plane" },
      box: { shape: "box" },
      ball: { shape: "sphere", segments: SEGMENTS },
      column: { shape: "cylinder", segments: SEGMENTS },
    },
    instances: [
      {
        ...{ mesh: "floor", position: [0, 0, 0], scale: [30, 1, 30], colour: [0.62, 0.6, 0.56] },
        ...{ pattern: "checker", ...still },
      },
      ...meshes,
    ],
  };
}
