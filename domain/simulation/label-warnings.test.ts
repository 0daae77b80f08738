import t from "tap";
import { findLabelWarnings } from "./label-warnings.ts";

const messages = (labels: Record<string, string>) =>
  findLabelWarnings({
    kind: "NodePool",
    metadata: { name: "near", labels },
    spec: { region: "eu", coordinates: { latitude: 0, longitude: 0 }, autonomyDurationSeconds: 0, relay: true },
  }).map(({ pointer, message }) => `${pointer} ${message}`);
const KNOWN = "perigee.dev/slots, perigee.dev/gpus, perigee.dev/render-encode-ms, perigee.dev/slot-hour-cost";

t.test("a label of a pool that is no number where one is read is told", async (t) => {
  t.same(messages({ "perigee.dev/slots": "40", "perigee.dev/slot-hour-cost": "0.25", zone: "many" }), []);
  t.same(messages({ "perigee.dev/slots": "many" }), [
    '/metadata/labels/perigee.dev~1slots metadata.labels: perigee.dev/slots must be a number from 0, got "many": it counts as not given',
  ]);
});

t.test("a label in Perigee's name that says nothing is told with those that do", async (t) => {
  t.same(messages({ "perigee.dev/slot": "40" }), [
    `/metadata/labels/perigee.dev~1slot metadata.labels: perigee.dev/slot says nothing: did you mean perigee.dev/slots or perigee.dev/slot-hour-cost? labels of that prefix that a NodePool may have are ${KNOWN}`,
  ]);
  t.match(messages({ "perigee.dev/colour-of-the-door": "red" }), [/says nothing: labels of that prefix/]);
  t.same(messages({ "perigee.dev/region": "eu", "perigee.dev/pool": "far" }), [
    '/metadata/labels/perigee.dev~1pool metadata.labels: perigee.dev/pool is always near: "far" is not taken',
  ]);
});

t.test("an app's size of its bundle is a number too", async (t) => {
  const renderClass = { name: "hd", eyeWidthPixels: 64, eyeHeightPixels: 64, frameRateHz: 72 };
  const needs = { gpuShareRatio: 0.1, encoderSessions: 1, memoryBytes: 1, egressBitsPerSecond: 1 };
  const labels = { "perigee.dev/bundle-bytes": "1 GB", "perigee.dev/slots": "1" };
  const spec = { bundle: { site: "shop", path: "/hall.json" }, needs, classes: [renderClass] };
  const warnings = findLabelWarnings({ kind: "RenderApp", metadata: { name: "hall", labels }, spec });
  t.match(warnings, [{ message: /bundle-bytes must be a number/ }, { message: /slots says nothing: .*bundle-bytes$/ }]);
});
