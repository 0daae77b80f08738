import t from "tap";
import { frameAround, labelSideOf, linesWithin, parsePlaces } from "./places.ts";

const lisbon = { name: "near", region: "lisbon", latitude: 38.72, longitude: -9.14 };
const warsaw = { name: "far", region: "warsaw", latitude: 52.23, longitude: 21.01 };

t.test("places are read where the configuration has them, and refused where they are none", (t) => {
  t.equal(parsePlaces({ app: "hall" }), undefined);
  t.same(parsePlaces({ places: { pools: [lisbon] } }), { pools: [lisbon], here: undefined });
  const here = { latitude: 1, longitude: 2 };
  t.same(parsePlaces({ places: { pools: [], here } }), { pools: [], here });
  const bad = [
    {},
    { pools: [{ ...lisbon, name: 3 }] },
    { pools: [{ ...lisbon, latitude: 91 }] },
    { pools: [], here: {} },
  ];
  for (const places of bad) {
    t.throws(() => parsePlaces({ places }), { code: "config-invalid", message: /places/ }, JSON.stringify(places));
  }
  t.end();
});

t.test("a map has all its places well inside, whatever its shape", (t) => {
  for (const aspect of [0.5, 1, 2, 3]) {
    for (const places of [[lisbon], [lisbon, warsaw]]) {
      const { west, north, width, height } = frameAround(places, aspect);
      t.ok(Math.abs(width / height - aspect) < 1e-9, `the shape of ${aspect}`);
      for (const { latitude, longitude, name } of places) {
        t.ok(longitude - west >= 4 && west + width - longitude >= 4, `${name} at ${aspect}, across`);
        t.ok(north - latitude >= 4 && latitude - (north - height) >= 4, `${name} at ${aspect}, down`);
      }
    }
  }
  t.end();
});

t.test("two places beside each other have their names one above the other", (t) => {
  const madrid = { name: "middle", region: "madrid", latitude: 40.42, longitude: -3.7 };
  const frame = frameAround([lisbon, madrid, warsaw], 2);
  t.same(labelSideOf(lisbon, [madrid, warsaw], frame), { isAtLeft: false, isBelow: true });
  t.same(labelSideOf(madrid, [lisbon, warsaw], frame), { isAtLeft: false, isBelow: false });
  t.same(labelSideOf(warsaw, [lisbon, madrid], frame), { isAtLeft: true, isBelow: false });
  t.end();
});

t.test("the grid's lines are multiples of its step within the map", (t) => {
  t.same(linesWithin(-17, 31, 10), [-10, 0, 10, 20, 30]);
  t.same(linesWithin(31, 39, 10), []);
  t.end();
});
