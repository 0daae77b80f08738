import fc from "fast-check";
import t from "tap";
import type { DayApp, DayPool } from "./day.ts";
import { HeldScenes } from "./held-scenes.ts";

const needs = { gpuShareRatio: 1, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 1 };
const app = (name: string, site: string, bytes: number | undefined): DayApp => ({
  ...{ name, spec: { needs, classes: [] }, bundle: { site, bytes } },
});
const pool = (name: string, scenes?: DayPool["scenes"]): DayPool => ({
  ...{ name, region: "r", coordinates: { latitude: 0, longitude: 0 }, labels: {}, classes: [], scenes },
  ...{ reachable: true, cordoned: false, draining: false },
});
const APPS = [app("hall", "a", 100), app("yard", "a", 100), app("cave", "b", 30), app("unsized", "c", undefined)];

t.test("a pool fetches a bundle once while it is held, whichever app of its site asks", async (t) => {
  const scenes = new HeldScenes([pool("bare"), pool("full", { sites: ["a", "b"] })], APPS);
  for (const [at, bytes] of [100, 100, 130, 130].entries()) {
    scenes.change(at, 0, 1);
    t.equal(scenes.fetchedBytes, bytes, `visit ${at}`);
  }
  scenes.change(0, 0, -1);
  scenes.change(0, 0, 1);
  for (const at of APPS.keys()) scenes.change(at, 1, 1);
  t.equal(scenes.fetchedBytes, 130, "nothing that is held is fetched again");
});

t.test("without room the bundle used longest ago goes, and none that is rendered from", async (t) => {
  const apps = [app("x", "x", 10), app("y", "y", 10), app("z", "z", 10)];
  const scenes = new HeldScenes([pool("small", { sites: ["x", "y"], roomBytes: 20 })], apps);
  const visit = (at: number) => {
    const before = scenes.fetchedBytes;
    scenes.change(at, 0, 1);
    scenes.change(at, 0, -1);
    return scenes.fetchedBytes - before;
  };
  t.same([visit(0), visit(2), visit(0), visit(1)], [0, 10, 0, 10], "y went for z, and comes again");
  scenes.change(2, 0, 1);
  t.equal(scenes.fetchedBytes, 30, "z went for y, and comes again");
  t.same([visit(0), visit(1), visit(0)], [10, 10, 10], "x and y make room for one another while z is in use");
  scenes.change(2, 0, -1);
});

t.test("what all pools fetch is at least each bundle once, and without a bound on room no more", async (t) => {
  const visits = fc.array(fc.tuple(fc.nat(3), fc.nat(2)), { maxLength: 60 });
  const property = fc.property(visits, fc.option(fc.integer({ min: 0, max: 200 })), (played, room) => {
    const bounded = { sites: [], ...(room === null ? {} : { roomBytes: room }) };
    const scenes = new HeldScenes([pool("p", bounded), pool("q", bounded), pool("r", bounded)], APPS);
    const once = new Map<string, number>();
    for (const [at, poolAt] of played) {
      scenes.change(at, poolAt, 1);
      scenes.change(at, poolAt, -1);
      const { site, bytes = 0 } = APPS[at]?.bundle ?? { site: "" };
      once.set(`${poolAt} ${site}`, bytes);
    }
    const least = [...once.values()].reduce((sum, bytes) => sum + bytes, 0);
    return room === null ? scenes.fetchedBytes === least : scenes.fetchedBytes >= least;
  });
  t.doesNotThrow(() => fc.assert(property));
});
