import t from "tap";
import { renderReport } from "./report.ts";

const second = (at: number, ms: number, failed = 0) => ({
  second: at,
  requests: 10,
  failed,
  p50Ms: ms,
  p95Ms: ms * 2,
  p99Ms: ms * 3,
});

const facts = {
  title: "Perigee <under> load",
  machine: "2 x processor",
  commit: "abc1234",
  at: "2026-01-02T03:04:05.000Z",
  outage: { beginMs: 12_000, endMs: 14_000 },
  measured: [
    {
      scenario: "outage",
      thresholds: [{ metric: "checks", condition: "rate==1", value: Number.NaN, limit: 1, isMet: false }],
      samples: {
        startMs: 10_000,
        series: [
          {
            name: "published",
            seconds: [second(0, 4), second(2, 9, 1), second(5, 30)],
            ...second(0, 9, 1),
          },
        ],
      },
    },
  ],
} as const;

t.test("the report shows each kind of request over time, its failures, and when the cloud was silent", async (t) => {
  const page = renderReport(facts);
  t.match(page, /<title>Perigee &lt;under&gt; load<\/title>/);
  t.match(page, "1 thresholds missed");
  t.match(page, "nothing measured");
  t.equal(page.match(/<path class="p(50|95|99)"/g)?.length, 3);
  t.match(page, 'class="cut"');
  t.equal(page.match(/<circle class="failed"/g)?.length, 1);
  t.match(page, /<td>5<\/td><td>10<\/td><td>0<\/td><td>30<\/td><td>60<\/td><td>90<\/td>/);
});

t.test("it needs nothing from elsewhere, and no line leaves its picture", async (t) => {
  const page = renderReport(facts);
  t.notMatch(page, /(src|href)=|@import|https?:\/\//);
  const points = [...page.matchAll(/[ML]([\d.]+),([\d.]+)/g)];
  t.equal(points.length, 9);
  for (const [point, x, y] of points) {
    t.ok(Number(x) >= 56 && Number(x) <= 708 && Number(y) >= 10 && Number(y) <= 174, point);
  }
  t.notMatch(page, /NaN|Infinity|undefined/);
});

t.test("a line does not cross seconds in which nothing was asked", async (t) => {
  const [measured] = facts.measured;
  const [published] = measured.samples.series;
  const seconds = [second(0, 4), second(1, 4), second(9, 4), second(10, 4)];
  const gap = { ...measured, samples: { startMs: 0, series: [{ ...published, seconds }] } };
  const page = renderReport({ ...facts, measured: [gap] });
  t.match(page, /<path class="p50" d="M\S+ h0 L\S+ M\S+ h0 L\S+"/);
});

t.test("a scenario without a request has a report too, and no outage is drawn where none was", async (t) => {
  const [measured] = facts.measured;
  const empty = { ...measured, samples: { startMs: Number.POSITIVE_INFINITY, series: [] } };
  t.notMatch(renderReport({ ...facts, measured: [empty] }), /<path|class="cut"/);
  const untouched = { ...facts, outage: { beginMs: undefined, endMs: undefined } };
  t.notMatch(renderReport(untouched), 'class="cut"');
});
