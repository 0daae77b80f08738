/** The parity share follows the loss that is told: up at once, down slowly, never beyond its bounds. */
import fc from "fast-check";
import t from "tap";
import { PARITY_RATIO } from "#contracts/media/fragments.ts";
import { PARITY_RATIO_MAX, PARITY_RATIO_MIN, ParityShare } from "./parity-share.ts";

t.test("loss brings it up with one report, a path that is clear brings it down step by step", async (t) => {
  const share = new ParityShare();
  t.equal(share.ratio, PARITY_RATIO);
  share.add({ received: 90, lost: 10 });
  t.equal(share.ratio, PARITY_RATIO_MAX);
  const ratios = Array.from({ length: 40 }, () => {
    share.add({ received: 200, lost: 0 });
    return share.ratio;
  });
  t.ok(
    ratios.every((ratio, index) => ratio <= (ratios[index - 1] ?? PARITY_RATIO_MAX)),
    "it never goes up without a loss",
  );
  t.ok((ratios[4] ?? 0) > 0.35, "it goes down slowly");
  t.equal(share.ratio, PARITY_RATIO_MIN);
});

t.test("at a steady loss of 1 % it is about a fifth, and one loss by itself says little", async (t) => {
  const share = new ParityShare();
  for (let report = 0; report < 40; report += 1) share.add({ received: 99, lost: 1 });
  t.equal(share.ratio.toFixed(2), "0.20");
  const quiet = new ParityShare();
  quiet.add({ received: 3, lost: 1 });
  t.equal(quiet.ratio, PARITY_RATIO);
});

t.test("whatever is told, it keeps its bounds", async (t) => {
  const count = fc.nat({ max: 1_000_000 });
  fc.assert(
    fc.property(fc.array(fc.record({ received: count, lost: count })), (reports) => {
      const share = new ParityShare();
      for (const report of reports) share.add(report);
      t.ok(share.ratio >= PARITY_RATIO_MIN && share.ratio <= PARITY_RATIO_MAX, JSON.stringify(reports));
    }),
  );
});
