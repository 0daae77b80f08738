/** An edge whose clock is off goes by the origin's, as far as it has heard it. */
import t from "tap";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { OriginTime } from "./origin-time.ts";

t.test("the origin's time goes on from its last ping, whatever the own clock says", async (t) => {
  const clock = new VirtualClock();
  const time = new OriginTime(clock);
  t.equal(time.nowMs(), clock.nowMs(), "nothing heard since the start: the own clock");
  const originMs = clock.nowMs() + 3_600_000;
  time.heard(originMs);
  await clock.advance(5_000);
  t.equal(time.nowMs(), originMs + 5_000);
  time.heard(originMs - 1_000);
  t.equal(time.nowMs(), originMs - 1_000, "the last word counts: the origin's clock was corrected");
});
