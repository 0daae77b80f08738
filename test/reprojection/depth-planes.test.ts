/** The planes that an agent sends hold the nearest inverse depth of each block, of each eye, to their last cut block. */
import t from "tap";
import { depthShapeOf } from "#contracts/media/depth-shape.ts";
import { renderViews } from "./rendered-views.ts";

const EYE = { eyeWidthPixels: 100, eyeHeightPixels: 90 };
const IPD_METRES = 0.06;

const box = (position: readonly number[], scale: readonly number[]) => ({
  ...{ mesh: "box", position, scale, yawDegrees: 0, colour: [1, 1, 1], pattern: "plain" },
});
/** A wall whose face is 2 m away, but for the picture's left tenth, and a small box whose face is 1 m away. */
const SCENE = {
  format: "perigee-scene/1",
  ...{ sky: [0, 0, 0], sun: { towards: [0, 1, 0], colour: [1, 1, 1] }, fogPerMetre: 0 },
  ambient: { above: [1, 1, 1], below: [1, 1, 1] },
  meshes: { box: { shape: "box" } },
  instances: [box([8.4, 0, -3], [10, 10, 1]), box([0.1, 0.1, -1.02], [0.02, 0.02, 0.02])],
};
const level = (metres: number): number => Math.round((255 * 0.25) / metres);

t.test("a wall, what stands before it, the sky beside it", async (t) => {
  const fieldOfView = { left: 1, right: 1, up: 1, down: 1 };
  const eye = (x: number) => ({ offset: { x, y: 0, z: 0 }, fieldOfView });
  const [view] = await renderViews(
    [
      {
        ...{ poseId: 1, sampledAtMs: 1, position: { x: 0, y: 0, z: 0 }, orientation: { x: 0, y: 0, z: 0, w: 1 } },
        ...{ eyes: [eye(-IPD_METRES / 2), eye(IPD_METRES / 2)], asksDepth: true },
      },
    ],
    { scene: Buffer.from(JSON.stringify(SCENE)), frameRateHz: 30, ...EYE },
  );
  const { columns, rows } = depthShapeOf(EYE);
  t.same([columns, rows, view?.depth.byteLength], [13, 12, 312]);
  const cells = (at: 0 | 1) => view?.depth.subarray(at * columns * rows, (at + 1) * columns * rows) ?? [];
  for (const at of [0, 1] as const) {
    const seen = [...cells(at)];
    t.equal(seen[0], 0, "the sky is as far as can be");
    t.same(new Set(seen), new Set([0, level(2), level(1)]), `eye ${at}`);
    for (let row = 0; row < rows; row += 1) t.equal(seen[row * columns + columns - 1], level(2), `row ${row}'s last`);
    // Its middle in pixels from the left and top, of 100×90 that show 2×2 m at a metre.
    const x = (0.1 + (at === 0 ? IPD_METRES / 2 : -IPD_METRES / 2) + 1) * 50;
    t.equal(seen[Math.floor(40.5 / 8) * columns + Math.floor(x / 8)], level(1), `the small box, eye ${at}`);
    const near = seen.filter((cell) => cell === level(1)).length;
    t.ok(near >= 1 && near <= 4, `${near} blocks of eye ${at} have a part of it`);
  }
});
