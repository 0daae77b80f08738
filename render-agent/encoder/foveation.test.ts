/** Regions of a picture: within it, finest where the eye looks, coarser outward, and none where nobody asks. */
import fc from "fast-check";
import t from "tap";
import { TANGENT_MAX } from "#contracts/media/pose.ts";
import { type FoveatedView, foveatedRegions, type Region } from "./foveation.ts";

const tangent = fc.double({ min: 0.3, max: 3, noNaN: true });
const eye = fc.record({ fieldOfView: fc.record({ left: tangent, right: tangent, up: tangent, down: tangent }) });
const looks = fc.double({ min: -TANGENT_MAX, max: TANGENT_MAX, noNaN: true });
const gaze = fc.option(fc.record({ x: looks, y: looks }), { nil: undefined });
const views: fc.Arbitrary<FoveatedView> = fc.record({ left: eye, right: eye, gaze }).map((one) => ({
  eyes: [one.left, one.right],
  asksFoveation: true,
  ...(one.gaze === undefined ? {} : { gaze: one.gaze }),
}));
const sizes = fc.record({
  widthPixels: fc.integer({ min: 16, max: 2048 }).map((half) => half * 2),
  heightPixels: fc.integer({ min: 16, max: 4096 }),
});

const holds = ({ left, right, top, bottom }: Region, x: number, y: number): boolean =>
  x >= left && x < right && y >= top && y < bottom;
const stepsAt = (regions: readonly Region[], x: number, y: number) =>
  regions.find((region) => holds(region, x, y))?.coarserSteps;

t.test("regions are whole pixels within their picture, ordered inward out, and the last is all of it", async (t) => {
  fc.assert(
    fc.property(views, sizes, (view, size) => {
      const regions = foveatedRegions(view, size, "gaze");
      for (const { top, bottom, left, right } of regions) {
        t.ok([top, bottom, left, right].every(Number.isInteger), "whole");
        t.ok(top >= 0 && top < bottom && bottom <= size.heightPixels, `rows ${top} to ${bottom}`);
        t.ok(left >= 0 && left < right && right <= size.widthPixels, `columns ${left} to ${right}`);
      }
      const steps = regions.map(({ coarserSteps }) => coarserSteps);
      t.same(
        steps,
        steps.toSorted((a, b) => a - b),
      );
      t.ok((steps.at(0) ?? -1) >= 0 && (steps.at(-1) ?? 0) <= 12, "of H.264's steps");
      t.match(regions.at(-1), { top: 0, bottom: size.heightPixels, left: 0, right: size.widthPixels });
    }),
    { numRuns: 200 },
  );
});

t.test(
  "what an eye looks at is finest, each eye by its own field, and each step away is as coarse or coarser",
  async (t) => {
    fc.assert(
      fc.property(views, sizes, (view, { widthPixels, heightPixels }) => {
        const regions = foveatedRegions(view, { widthPixels, heightPixels }, "gaze");
        const { x, y } = view.gaze ?? { x: 0, y: 0 };
        for (const [index, { fieldOfView: field }] of view.eyes.entries()) {
          const width = widthPixels / 2;
          const column = Math.floor(((x + field.left) / (field.left + field.right)) * width);
          const row = Math.floor(((field.up - y) / (field.up + field.down)) * heightPixels);
          if (column < 0 || column >= width || row < 0 || row >= heightPixels) continue;
          t.equal(stepsAt(regions, index * width + column, row), 0, `eye ${index}`);
          const rightward = Array.from({ length: width - column }, (_, away) =>
            Number(stepsAt(regions, index * width + column + away, row)),
          );
          t.same(
            rightward,
            rightward.toSorted((a, b) => a - b),
            `eye ${index}`,
          );
        }
      }),
      { numRuns: 100 },
    );
  },
);

t.test("a skewed field puts the centre where straight ahead is, not in the picture's middle", async (t) => {
  const left = { fieldOfView: { left: 1.5, right: 0.5, up: 1, down: 1 } };
  const right = { fieldOfView: { left: 0.5, right: 1.5, up: 1, down: 1 } };
  const size = { widthPixels: 400, heightPixels: 200 };
  const regions = foveatedRegions({ eyes: [left, right], asksFoveation: true }, size, "fixed");
  const twenty = Math.tan(Math.PI / 9) * 100;
  const [first, second] = regions;
  t.match(first, { left: Math.round(150 - twenty), right: Math.round(150 + twenty), coarserSteps: 0 });
  t.match(second, { left: Math.round(250 - twenty), right: Math.round(250 + twenty), coarserSteps: 0 });
  t.match(first, { top: Math.round(100 - twenty), bottom: Math.round(100 + twenty) });
});

t.test("a gaze moves the regions its way, unless they are fixed; off and unasked there are none", async (t) => {
  const field = { fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
  const view: FoveatedView = { eyes: [field, field], asksFoveation: true, gaze: { x: 0.5, y: 0.5 } };
  const size = { widthPixels: 400, heightPixels: 200 };
  const ahead = foveatedRegions({ eyes: view.eyes, asksFoveation: true }, size, "gaze");
  const [moved] = foveatedRegions(view, size, "gaze");
  t.ok((moved?.left ?? 0) > (ahead[0]?.left ?? 999), "to the right");
  t.ok((moved?.top ?? 999) < (ahead[0]?.top ?? 0), "and up");
  t.same(foveatedRegions(view, size, "fixed"), ahead);
  t.same(foveatedRegions(view, size, "off"), []);
  t.same(foveatedRegions({ eyes: view.eyes, gaze: { x: 0, y: 0 } }, size, "gaze"), []);
});
