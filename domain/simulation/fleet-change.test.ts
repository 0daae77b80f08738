import fc from "fast-check";
import t from "tap";
import { Departures } from "./departures.ts";
import { type AddedGpus, parseAddedGpus, withGpus, withoutPools } from "./fleet-change.ts";
import { fleetPools } from "./fleet-pools.ts";
import { POPULATION_CENTRES } from "./population-centres.ts";

const stated = (name: string, labels: Record<string, string>, longitude = 8.7) => ({
  metadata: { name, labels },
  spec: { region: `region-of-${name}`, coordinates: { latitude: 50, longitude } },
});
const needs = { gpuShareRatio: 0.1, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 1 };
const renderClass = (name: string) => ({ name, eyeWidthPixels: 64, eyeHeightPixels: 64, frameRateHz: 72 });
const apps = [
  { name: "hall", spec: { needs, classes: [renderClass("hd"), renderClass("sd")] }, bundle: { site: "s" } },
];
const node = (name: string, role: string, pool: string, changes = {}) => ({
  ...{ name, role, pool, cordoned: false, draining: false, isDead: false, ...changes },
});
const agent = (name: string, total: number) => ({
  ...{ agent: name, slots: [{ renderClass: "hd", total, frameMsP95: 9 + total }] },
});

const { pools, silentAgents, emptyPools } = fleetPools({
  apps,
  pools: [
    stated("real", { gpu: "l40s", "perigee.dev/slots": "99" }),
    stated("planned", { gpu: "a10", "perigee.dev/slots": "40", "perigee.dev/gpus": "5" }, 2),
    stated("empty", { "perigee.dev/slots": "some" }),
    stated("dead", {}),
  ],
  nodes: [
    ...[node("e", "edge", "real"), node("a", "agent", "real"), node("b", "agent", "real")],
    ...[
      node("c", "agent", "real", { cordoned: true }),
      node("d", "agent", "dead"),
      node("f", "edge", "dead", { isDead: true }),
    ],
  ],
  reports: new Map([
    [
      "real",
      { agents: [agent("a", 4), agent("b", 6), agent("c", 8)], sites: [{ site: "s", isHeld: true }], roomBytes: 9 },
    ],
  ]),
});

t.test("what agents report goes before what labels say, and who is cordoned holds nothing", async (t) => {
  const [real, planned, empty, dead] = pools;
  t.same(real?.classes, [{ renderClass: "hd", slots: 10, renderEncodeMsP95: 15 }]);
  t.equal(real?.gpus, 2);
  t.same(planned?.classes, [
    { renderClass: "hd", slots: 40, renderEncodeMsP95: 12 },
    { renderClass: "sd", slots: 40, renderEncodeMsP95: 12 },
  ]);
  t.match([real?.reachable, planned?.reachable, dead?.reachable], [true, true, false]);
  t.same(empty?.classes, []);
  t.same(
    [real?.scenes, planned?.scenes, dead?.scenes],
    [{ sites: ["s"], roomBytes: 9 }, { sites: [] }, { sites: ["s"] }],
  );
  t.same(silentAgents, ["d"]);
  t.same(emptyPools, ["empty", "dead"]);
});

function placed(text: string): AddedGpus {
  const { place = "", ...gpus } = parseAddedGpus(text);
  return { ...gpus, place };
}

t.test("GPUs are added to a pool, or make one, with as many slots as the fleet's own have", async (t) => {
  const grown = withGpus(pools, placed("10xA10@planned"), undefined).find(({ name }) => name === "planned");
  t.match(grown?.classes, [{ slots: 120 }, { slots: 120 }]);
  t.equal(grown?.gpus, 15);
  const made = withGpus(pools, placed("3xL40S@Tel Aviv"), undefined).at(-1);
  t.match(made, {
    ...{ name: "new-tel-aviv", region: "region-of-real", labels: { gpu: "l40s" }, gpus: 3 },
    classes: [{ renderClass: "hd", slots: 15, renderEncodeMsP95: 15 }],
  });
  t.same(Object.keys(made?.labels ?? {}), ["gpu"], "what its neighbour holds is not its own");
  t.match(withGpus(pools, placed("2xH100@-10.5,120"), 7).at(-1), {
    ...{ name: "new-place", coordinates: { latitude: -10.5, longitude: 120 } },
    classes: [
      { renderClass: "hd", slots: 14 },
      { renderClass: "sd", slots: 14 },
    ],
  });
  t.throws(() => withGpus(pools, placed("2xH100@berlin"), undefined), { message: /GPUs here are l40s, a10/ });
  t.throws(() => withGpus(pools, placed("2xA10@berlim"), undefined), { message: /did you mean berlin\?/ });
  t.throws(() => withGpus(pools, placed("2xA10@95,0"), undefined), { code: "not-found" });
  for (const text of ["", "x", "0xA10@planned", "999999xA10@planned", "2xA10@", "-1xA10@planned"]) {
    t.throws(() => parseAddedGpus(text), { code: "argument-invalid", message: /COUNTxMODEL@PLACE/ }, text);
  }
  t.same(parseAddedGpus("2xA10"), { count: 2, model: "A10", place: undefined });
});

t.test("a pool that there is not is told with the nearest names", async (t) => {
  t.same(
    withoutPools(pools, ["real", "dead"]).map(({ name }) => name),
    ["planned", "empty"],
  );
  t.throws(() => withoutPools(pools, ["plannned"]), {
    code: "not-found",
    message: "there is no pool plannned: did you mean planned?",
  });
  t.throws(() => withoutPools(pools, ["somewhere"]), { message: "there is no pool somewhere" });
});

t.test("who leaves next is whose time is over first", async (t) => {
  const steps = fc.array(fc.option(fc.double({ min: 0, max: 1000, noNaN: true }), { freq: 3 }), { maxLength: 3000 });
  const property = fc.property(steps, (times) => {
    const departures = new Departures();
    const left = new Map<number, number>();
    for (const [id, time] of times.entries()) {
      if (time !== null) {
        departures.add(time, id);
        left.set(id, time);
      } else if (left.size > 0) {
        const earliest = Math.min(...left.values());
        if (departures.nextSeconds !== earliest) return false;
        const taken = departures.take();
        if (left.get(taken) !== earliest) return false;
        left.delete(taken);
      }
    }
    return departures.count === left.size;
  });
  t.doesNotThrow(() => fc.assert(property));
});

t.test("each large city has a name of its own and a place", async (t) => {
  t.ok(POPULATION_CENTRES.length > 100);
  t.equal(new Set(POPULATION_CENTRES.map(({ name }) => name)).size, POPULATION_CENTRES.length);
  for (const { name, country, coordinates, millions } of POPULATION_CENTRES) {
    const { latitude, longitude } = coordinates;
    t.ok(Math.abs(latitude) < 70 && Math.abs(longitude) <= 180 && millions > 0.1 && country.length === 2, name);
  }
});
