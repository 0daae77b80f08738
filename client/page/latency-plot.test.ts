import t from "tap";
import { columnsOf, scaleMsOf } from "./latency-plot.ts";

const sample = {
  ...{ networkMs: 5, waitMs: 1, renderMs: 4, encodeMs: 3, decodeMs: 2 },
  ...{ remotePathMs: 15, jitterMs: 0 },
};

t.test("the parts of a picture stand on each other and reach its whole", (t) => {
  const columns = columnsOf([{ atMs: 1000, sample }], 1020);
  t.same(
    columns.map(({ part, bottomMs, topMs }) => [part, bottomMs, topMs]),
    [
      ["networkMs", 0, 5],
      ["waitMs", 5, 6],
      ["renderMs", 6, 10],
      ["encodeMs", 10, 13],
      ["decodeMs", 13, 15],
    ],
  );
  t.ok(columns.every(({ fromMs, toMs }) => fromMs === 20 && toMs === 0));
  t.end();
});

t.test("a column reaches the next picture, and a gap in the pictures stays one", (t) => {
  const at = (atMs: number) => ({ atMs, sample });
  const network = columnsOf([at(1000), at(1033), at(2000)], 2010).filter(({ part }) => part === "networkMs");
  t.same(
    network.map(({ fromMs, toMs }) => [fromMs, toMs]),
    [
      [1010, 977],
      [977, 917],
      [10, 0],
    ],
  );
  t.end();
});

t.test("the scale has room for the budget and for all but the latest few", (t) => {
  const late = (ms: number) => ({ atMs: 0, sample: { ...sample, remotePathMs: ms } });
  t.equal(scaleMsOf([]), 20);
  t.equal(scaleMsOf([], 50), 60);
  t.equal(scaleMsOf([...Array.from({ length: 99 }, () => late(15)), late(900)]), 20);
  t.equal(scaleMsOf([late(900)]), 1000);
  t.equal(scaleMsOf([late(9000)]), 5000, "beyond the last it is cut");
  t.end();
});
