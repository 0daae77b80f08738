import t from "tap";
import { describeThreshold, readThresholds } from "./thresholds.ts";

/** As k6 1.8.1 exports it: `true` says that the threshold was missed. */
const SUMMARY = {
  metrics: {
    checks: { passes: 99, fails: 1, value: 0.99, thresholds: { "rate==1": true } },
    "http_req_duration{name:hot}": { count: 12, "p(95)": 41.25, thresholds: { "p(95)<150": false } },
    "http_req_duration{name:cold}": { count: 0, "p(95)": 0, thresholds: { "p(95)<1000": false } },
    http_reqs: { count: 5, rate: 1 },
  },
};

t.test("each threshold has what was measured, its limit, and whether it was met", async (t) => {
  const [checks, hot] = readThresholds(SUMMARY);
  t.match(checks, { metric: "checks", value: 0.99, limit: 1, isMet: false });
  t.match(hot, {
    metric: "http_req_duration{name:hot}",
    condition: "p(95)<150",
    value: 41.25,
    limit: 150,
    isMet: true,
  });
  t.equal(hot && describeThreshold(hot), "met     http_req_duration{name:hot}: p(95)<150, measured 41.25");
});

t.test("a threshold that no sample reached is missed, though k6 passes it", async (t) => {
  const cold = readThresholds(SUMMARY)[2];
  t.match(cold, { isMet: false });
  t.match(cold && describeThreshold(cold), /^MISSED .*nothing measured$/);
  const nobody = { metrics: { checks: { passes: 0, fails: 0, value: 0, thresholds: { "rate==1": false } } } };
  t.match(readThresholds(nobody), [{ isMet: false }]);
});

t.test("a run that judged nothing is no pass", async (t) => {
  for (const summary of [{}, { metrics: {} }, { metrics: { http_reqs: { count: 1 } } }, null]) {
    t.throws(() => readThresholds(summary), /judges no threshold/, JSON.stringify(summary));
  }
});
