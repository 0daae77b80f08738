import t from "tap";
import { DemandForecast, PRIOR_SHAPE_UNKNOWN, StayEstimate, sessionsInOneStay } from "./demand-forecast.ts";

t.test("before anything came, what was expected is forecast", (t) => {
  t.same([...new DemandForecast(Float64Array.of(4, 100), 4).rates()].map(Math.round), [4, 100]);
  t.end();
});

t.test("what comes outweighs what was expected, the sooner the more of it there is", (t) => {
  const forecast = new DemandForecast(Float64Array.of(1, 100), 1e6);
  forecast.observe([2, 200], 1);
  const [few = 0, many = 0] = forecast.rates();
  t.ok(many / 100 > few / 1, `${many} of 200 is nearer than ${few} of 2`);
  t.ok(many > 150 && many < 200, `between what was expected and what came, got ${many}`);
  for (let turn = 0; turn < 50; turn += 1) forecast.observe([2, 200], 1);
  t.ok(Math.abs((forecast.rates()[1] ?? 0) - 200) < 2, "in the end it is what comes");
  t.end();
});

t.test("a crowd that has gone is forgotten", (t) => {
  const forecast = new DemandForecast(Float64Array.of(50), 2);
  forecast.observe([2000], 1);
  const during = forecast.rates()[0] ?? 0;
  for (let turn = 0; turn < 20; turn += 1) forecast.observe([50], 1);
  t.ok(during > 500, `followed, got ${during}`);
  t.ok(Math.abs((forecast.rates()[0] ?? 0) - 50) < 5, `forgotten, got ${forecast.rates()[0]}`);
  t.end();
});

t.test("a cell of which nothing was expected may still come", (t) => {
  const forecast = new DemandForecast(Float64Array.of(0), 4);
  t.ok((forecast.rates()[0] ?? 1) < 0.001);
  forecast.observe([30], 1);
  t.ok(Number.isFinite(forecast.rates()[0]), "a number all the same");
  t.end();
});

t.test("a cell that nobody forecast is what comes at once, and one that is another begins anew", (t) => {
  const forecast = new DemandForecast(Float64Array.of(1), 4, PRIOR_SHAPE_UNKNOWN);
  forecast.observe([100], 0.5);
  const [rate = 0] = forecast.rates();
  t.ok(rate > 130 && rate < 200, `got ${rate}`);
  forecast.restart(0, 1);
  t.equal(forecast.rates()[0], 1);
  t.end();
});

t.test("sessions of one stay on are those that are left and those that come", (t) => {
  t.equal(sessionsInOneStay(80, 80), 80, "nothing changes");
  t.ok(sessionsInOneStay(0, 100) > 60 && sessionsInOneStay(0, 100) < 65);
  t.ok(sessionsInOneStay(100, 0) > 35 && sessionsInOneStay(100, 0) < 40);
  t.end();
});

t.test("how long sessions stay is learnt while most of them still do", (t) => {
  const stays = new StayEstimate(1200, 1e6);
  t.equal(stays.seconds, 1200);
  for (let turn = 0; turn < 200; turn += 1) stays.observe({ seconds: 5, running: 600, ended: 10 });
  t.ok(Math.abs(stays.seconds - 300) < 10, `600 at once of which two end in a second stay 300 s, got ${stays.seconds}`);
  const forgetting = new StayEstimate(1200, 60);
  forgetting.observe({ seconds: 5, running: 600, ended: 100 });
  for (let turn = 0; turn < 200; turn += 1) forgetting.observe({ seconds: 5, running: 0, ended: 0 });
  t.ok(Math.abs(forgetting.seconds - 1200) < 10, `what is long ago is forgotten, got ${forgetting.seconds}`);
  t.ok(new StayEstimate(1e9, 60).seconds <= 86_400);
  t.end();
});
