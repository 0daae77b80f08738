/** Pictures are compared by their colours alone. */
import t from "tap";
import { psnrDb } from "./psnr.ts";

t.test(
  "what is equal but for its opacity is infinitely near, and one step of ten in six costs what the formula says",
  async (t) => {
    const truth = Uint8Array.of(10, 20, 30, 255, 40, 50, 60, 255);
    const shown = Uint8Array.of(10, 20, 30, 0, 40, 50, 60, 0);
    t.equal(psnrDb(shown, truth), Number.POSITIVE_INFINITY);
    const other = Uint8Array.of(20, 20, 30, 255, 40, 50, 60, 255);
    t.ok(Math.abs(psnrDb(other, truth) - 10 * Math.log10(255 ** 2 / (100 / 6))) < 1e-9);
  },
);
