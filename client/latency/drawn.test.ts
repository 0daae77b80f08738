import t from "tap";
import { createDrawnLog, FREEZE_MS_MIN } from "./drawn.ts";

/** By the client's clock, and by the agent's, which is 500 ms behind. */
const pictureOf = (poseSampledAtMs: number) => ({ poseSampledAtMs, renderStartedAtMs: poseSampledAtMs + 5 - 500 });

t.test("a gap that is too long is a freeze, unless the session was paused in it", (t) => {
  const log = createDrawnLog();
  for (const nowMs of [1000, 1033, 1033 + FREEZE_MS_MIN, 1400]) log.pictureCame(nowMs, pictureOf(nowMs - 10));
  t.match(log.counts(), { freezes: 1, frozenMs: 267 });
  log.interrupted();
  log.pictureCame(9000, pictureOf(8990));
  t.match(log.counts(), { freezes: 1, frozenMs: 267 });
  t.end();
});

t.test("a picture's age is taken when it is first drawn, and one that never is counts for nothing", (t) => {
  const told: number[][] = [];
  const log = createDrawnLog((...picture) => void told.push(picture));
  t.equal(log.counts().poseToDrawnMs, undefined);
  log.pictureCame(100, pictureOf(90));
  log.pictureCame(110, pictureOf(95));
  log.drawn(120);
  log.drawn(900);
  t.same(log.counts().poseToDrawnMs, { p50: 25, p95: 25 });
  t.same(told, [[-400, 120]], "by its stamp, and when");
  t.end();
});
