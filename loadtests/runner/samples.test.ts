import fc from "fast-check";
import t from "tap";
import { readSamples, splitLine } from "./samples.ts";

const HEADER =
  "metric_name,timestamp,metric_value,error_code,expected_response,name,scenario,status,extra_tags,metadata";
const line = (atMs: number, ms: number, name = "hot", expected = "true"): string =>
  `http_req_duration,${atMs},${ms}.000000,,${expected},${name},readers,200,,`;

t.test("requests are summed up by name and second, counted from the first", async (t) => {
  const lines = [
    HEADER,
    ...Array.from({ length: 100 }, (_, index) => line(5_000 + index, index + 1)),
    line(6_500, 7, "hot", "false"),
    line(5_900, 40, "cold"),
    "vus,5000,3.000000,,,,,,,",
    line(5_000, 9, "http://shop.near-1.edge.localhost:7420/set-up"),
  ];
  const { startMs, series } = readSamples(lines);
  t.equal(startMs, 5_000);
  t.same(
    series.map(({ name, requests, failed }) => [name, requests, failed]),
    [
      ["cold", 1, 0],
      ["hot", 101, 1],
    ],
  );
  t.same(series[1]?.seconds, [
    { second: 0, requests: 100, failed: 0, p50Ms: 50, p95Ms: 95, p99Ms: 99 },
    { second: 1, requests: 1, failed: 1, p50Ms: 7, p95Ms: 7, p99Ms: 7 },
  ]);
});

t.test("nothing measured is an empty list; a column that is gone is a fault", async (t) => {
  t.same(readSamples([HEADER]).series, []);
  t.throws(() => readSamples(["metric_name,timestamp,value", ""]), /no column metric_value/);
});

t.test("every second's requests add up, and its quantiles stand in order within what was measured", async (t) => {
  const sample = fc.record({ atMs: fc.integer({ min: 0, max: 9_999 }), ms: fc.integer({ min: 0, max: 5_000 }) });
  fc.assert(
    fc.property(fc.array(sample, { minLength: 1, maxLength: 200 }), (samples) => {
      const { series } = readSamples([HEADER, ...samples.map(({ atMs, ms }) => line(atMs, ms))]);
      const seconds = series[0]?.seconds ?? [];
      const longest = Math.max(...samples.map(({ ms }) => ms));
      const isOrdered = seconds.every(
        ({ p50Ms, p95Ms, p99Ms }) => p50Ms <= p95Ms && p95Ms <= p99Ms && p99Ms <= longest,
      );
      return isOrdered && seconds.reduce((sum, { requests }) => sum + requests, 0) === samples.length;
    }),
  );
  t.pass("every generated case held");
});

t.test("a line of CSV gives back the fields that were written into it", async (t) => {
  const quote = (field: string): string => (/[",]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);
  const field = fc.string().map((text) => text.replaceAll(/[\r\n]/g, " "));
  fc.assert(
    fc.property(fc.array(field, { minLength: 2, maxLength: 8 }), (fields) => {
      return JSON.stringify(splitLine(fields.map(quote).join(","))) === JSON.stringify(fields);
    }),
  );
  t.pass("every generated case held");
});
