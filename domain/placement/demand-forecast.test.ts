import t from "tap";
import { DemandForecast } from "./demand-forecast.ts";

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
