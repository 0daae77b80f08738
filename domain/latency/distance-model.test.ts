import fc from "fast-check";
import t from "tap";
import { DistanceModel, fibreRttMs } from "./distance-model.ts";

const samples = fc.array(
  fc.record({
    region: fc.option(fc.constantFrom("country:CH", "country:AU"), { nil: undefined }),
    km: fc.double({ min: 0, max: 20_000, noNaN: true }),
    rttMs: fc.double({ min: 0, max: 5000, noNaN: true }),
    weight: fc.double({ min: 0.01, max: 4, noNaN: true }),
  }),
  { maxLength: 300 },
);

interface TrueLine {
  readonly accessMs: number;
  readonly msPerKm: number;
}

/** Everywhere within 3,000 km. */
function learnLine(model: DistanceModel, region: string, { accessMs, msPerKm }: TrueLine, count: number) {
  for (let index = 0; index < count; index += 1) {
    const km = (index * 37) % 3000;
    model.learn(region, { km, rttMs: accessMs + msPerKm * km, weight: 1 });
  }
}

t.test("before anything is measured it is fibre with the usual detour", async (t) => {
  const model = new DistanceModel();
  t.equal(model.estimate("country:CH", 0).rttMs, 3);
  t.match(model.estimate(undefined, 1000), { rttMs: 18, errorMs: 0.4 * 18 });
  t.equal(fibreRttMs(1000), 18);
});

t.test("whatever is measured, farther is slower and nothing is faster than light in fibre", async (t) => {
  const holds = fc.property(samples, fc.nat(20_000), (list, km) => {
    const model = new DistanceModel();
    for (const { region, ...sample } of list) model.learn(region, sample);
    return [undefined, "country:CH", "country:never heard of"].every((region) => {
      const { rttMs, errorMs } = model.estimate(region, km);
      const isPossible = rttMs >= 0.5 + km / 100 && rttMs <= 50 + km / 20 && errorMs >= 0 && errorMs <= rttMs;
      return isPossible && model.estimate(region, km + 1).rttMs > rttMs;
    });
  });
  t.doesNotThrow(() => fc.assert(holds));
});

t.test("a line within bounds is found to a millisecond, and its error falls to nothing", async (t) => {
  const line = fc.record({
    accessMs: fc.double({ min: 1, max: 18, noNaN: true }),
    msPerKm: fc.double({ min: 0.011, max: 0.029, noNaN: true }),
  });
  const isFound = fc.property(line, ({ accessMs, msPerKm }) => {
    const model = new DistanceModel();
    learnLine(model, "country:CH", { accessMs, msPerKm }, 30_000);
    return [0, 500, 1500, 3000].every((km) => {
      const { rttMs, errorMs } = model.estimate("country:CH", km);
      return Math.abs(rttMs - accessMs - msPerKm * km) < 1 && errorMs < 0.1 * rttMs;
    });
  });
  t.doesNotThrow(() => fc.assert(isFound, { numRuns: 20 }));
});

t.test("each region has its own line; one that is new begins with that of all", async (t) => {
  const model = new DistanceModel();
  for (let round = 0; round < 200; round += 1) {
    learnLine(model, "country:CH", { accessMs: 4, msPerKm: 0.012 }, 100);
    learnLine(model, "country:AU", { accessMs: 12, msPerKm: 0.022 }, 100);
  }
  const at1000Km = (region: string | undefined) => model.estimate(region, 1000).rttMs;
  t.ok(Math.abs(at1000Km("country:CH") - 16) < 1, `${at1000Km("country:CH")}`);
  t.ok(Math.abs(at1000Km("country:AU") - 34) < 1, `${at1000Km("country:AU")}`);
  t.ok(at1000Km("country:SE") > 18 && at1000Km("country:SE") < 32, `${at1000Km("country:SE")}`);
  t.equal(at1000Km("country:SE"), at1000Km(undefined));
});

t.test("a network that changed is learnt anew", async (t) => {
  const model = new DistanceModel();
  learnLine(model, "country:CH", { accessMs: 4, msPerKm: 0.012 }, 20_000);
  learnLine(model, "country:CH", { accessMs: 12, msPerKm: 0.02 }, 20_000);
  const { rttMs } = model.estimate("country:CH", 1000);
  t.ok(Math.abs(rttMs - 32) < 1, `${rttMs}`);
});

t.test("one in fifty that lies as it likes moves an estimate by little", async (t) => {
  const model = new DistanceModel();
  for (let round = 0; round < 100; round += 1) {
    learnLine(model, "country:CH", { accessMs: 4, msPerKm: 0.015 }, 49);
    model.learn("country:CH", { km: 10, rttMs: 5000, weight: 1 });
  }
  const { rttMs } = model.estimate("country:CH", 10);
  t.ok(rttMs > 4 && rttMs < 4.6, `${rttMs}`);
});

t.test("what is faster than light teaches nothing", async (t) => {
  const model = new DistanceModel();
  for (let count = 0; count < 100; count += 1) model.learn("country:CH", { km: 1000, rttMs: 9.9, weight: 1 });
  t.equal(model.estimate("country:CH", 1000).rttMs, 18);
});

t.test("as many regions as there are countries are kept; the one not heard of for longest is forgotten", async (t) => {
  const model = new DistanceModel();
  const far = { km: 1000, rttMs: 30, weight: 4 };
  const near = { km: 1000, rttMs: 12, weight: 4 };
  for (let count = 0; count < 50; count += 1) model.learn("first", far);
  t.ok(model.estimate("first", 1000).rttMs > model.estimate("other", 1000).rttMs);
  for (let region = 0; region < 255; region += 1) model.learn(`r${region}`, near);
  t.equal(model.regionCount, 256);
  t.ok(model.estimate("first", 1000).rttMs > model.estimate("other", 1000).rttMs, "256 are kept");
  model.learn("r255", near);
  t.equal(model.regionCount, 256);
  t.equal(model.estimate("first", 1000).rttMs, model.estimate("other", 1000).rttMs, "and not one more");
});
