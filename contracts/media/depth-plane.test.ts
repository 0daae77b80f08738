/** Depth planes come back as they were, whatever they hold; bytes that are none are refused by name, in bounded time. */
import fc from "fast-check";
import t from "tap";
import { decodeDepth, encodeDepth } from "./depth-plane.ts";
import { depthCellsOf, depthShapeOf } from "./depth-shape.ts";
import { decodeFrame, encodeFrame, FRAME_HEADER_BYTES, type FrameHeader } from "./frame.ts";

const HEADER: FrameHeader = {
  ...{ frameNumber: 1, codec: "h264", key: false, eyeWidthPixels: 160, eyeHeightPixels: 180, poseId: 1 },
  ...{ poseSampledAtMs: 1, poseReceivedAtMs: 2, renderStartedAtMs: 3, renderedAtMs: 4, encodedAtMs: 5, sentAtMs: 6 },
};
const side = fc.integer({ min: 1, max: 200 });
const even = fc.constantFrom(0, 255);
const byte = fc.oneof(fc.integer({ min: 0, max: 255 }), even, fc.integer({ min: 100, max: 103 }));

t.test("planes of any size and content come back as they were, with their frame", async (t) => {
  fc.assert(
    fc.property(side, side, fc.infiniteStream(byte), (eyeWidthPixels, eyeHeightPixels, stream) => {
      const header = { ...HEADER, eyeWidthPixels, eyeHeightPixels };
      const depth = Uint8Array.from({ length: depthCellsOf(depthShapeOf(header)) }, () => stream.next().value ?? 0);
      const frame = { header, accessUnit: new Uint8Array([1, 2, 3]), depth };
      const back = decodeFrame(encodeFrame(frame));
      t.same([...(back.depth ?? [])], [...depth], `${eyeWidthPixels}×${eyeHeightPixels}`);
      t.same([[...back.accessUnit], back.header], [[1, 2, 3], header]);
    }),
  );
});

t.test("a plane of even slope costs next to nothing", async (t) => {
  const shape = depthShapeOf({ eyeWidthPixels: 640, eyeHeightPixels: 720 });
  const cells = Uint8Array.from({ length: depthCellsOf(shape) }, (_, at) => {
    const row = Math.floor(at / shape.columns) % shape.rows;
    return 2 * row + (at % shape.columns);
  });
  const bytes = encodeDepth(cells, shape);
  t.ok(bytes.byteLength < cells.byteLength / 50, `${bytes.byteLength} of ${cells.byteLength} bytes`);
});

t.test("whatever bytes are taken for planes, they are planes or media-invalid", async (t) => {
  const shape = depthShapeOf(HEADER);
  let refused = 0;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      try {
        t.equal(decodeDepth(bytes, shape).byteLength, depthCellsOf(shape));
      } catch (error) {
        refused += 1;
        t.match(error, { code: "media-invalid" });
      }
    }),
  );
  t.comment(`${refused} refused`);
  const left = new Uint8Array(5000).fill(1);
  t.throws(() => decodeDepth(left, shape), { code: "media-invalid", message: /left over/ });
  const huge = depthShapeOf({ eyeWidthPixels: 65_535, eyeHeightPixels: 65_535 });
  t.throws(() => decodeDepth(new Uint8Array(9), huge), { code: "media-invalid", message: /at most/ });
});

t.test("planes that would end behind their frame are media-invalid", async (t) => {
  const depth = new Uint8Array(depthCellsOf(depthShapeOf(HEADER))).fill(7);
  const bytes = encodeFrame({ header: HEADER, accessUnit: new Uint8Array(2), depth });
  const view = new DataView(bytes.buffer);
  const length = view.getUint32(FRAME_HEADER_BYTES, true);
  for (const wrong of [length + 3, 0xffff_ffff]) {
    view.setUint32(FRAME_HEADER_BYTES, wrong, true);
    t.throws(() => decodeFrame(bytes), { code: "media-invalid", message: /end within/ }, `${wrong}`);
  }
  t.throws(
    () => decodeFrame(bytes.slice(0, FRAME_HEADER_BYTES + 3)),
    { code: "media-invalid" },
    "no room for a length",
  );
});

t.test("a frame with depth of which bytes are other is a frame or media-invalid", async (t) => {
  const depth = Uint8Array.from({ length: depthCellsOf(depthShapeOf(HEADER)) }, (_, at) => at % 97);
  const whole = encodeFrame({ header: HEADER, accessUnit: new Uint8Array(50), depth });
  const change = fc.record({ at: fc.nat({ max: whole.byteLength - 1 }), value: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 5 }), fc.nat({ max: 30 }), (changes, cut) => {
      const bytes = whole.slice(0, whole.byteLength - cut);
      for (const { at, value } of changes) if (at < bytes.byteLength) bytes[at] = value;
      try {
        const { header, depth: planes } = decodeFrame(bytes);
        if (planes !== undefined) t.equal(planes.byteLength, depthCellsOf(depthShapeOf(header)));
      } catch (error) {
        t.match(error, { code: "media-invalid" });
      }
    }),
    { numRuns: 300 },
  );
});
