import fc from "fast-check";
import t from "tap";
import { type Coordinates, distanceKm, EARTH_RADIUS_KM } from "./geography.ts";

const place = fc.record({
  latitude: fc.double({ min: -90, max: 90, noNaN: true }),
  longitude: fc.double({ min: -180, max: 180, noNaN: true }),
});

t.test("known distances come out", async (t) => {
  const lisbon: Coordinates = { latitude: 38.7223, longitude: -9.1393 };
  const berlin: Coordinates = { latitude: 52.52, longitude: 13.405 };
  t.ok(Math.abs(distanceKm(lisbon, berlin) - 2312) < 10, String(distanceKm(lisbon, berlin)));
  t.equal(distanceKm(lisbon, lisbon), 0);
});

t.test("distance is symmetric, never negative and at most half the circumference", async (t) => {
  fc.assert(
    fc.property(place, place, (a, b) => {
      const there = distanceKm(a, b);
      return Math.abs(there - distanceKm(b, a)) < 1e-6 && there >= 0 && there <= Math.PI * EARTH_RADIUS_KM + 1e-6;
    }),
  );
  t.pass("every generated case held");
});
