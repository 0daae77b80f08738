/** An edge whose clock is off goes by the origin's, as far as it has heard it, and knows how far it is off. */
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

t.test(
  "the own clock's offset is by the ping that came fastest, and follows either clock when it is set",
  async (t) => {
    const virtual = new VirtualClock();
    let setMs = 0;
    const clock = { monotonicMs: () => virtual.monotonicMs(), nowMs: () => virtual.nowMs() + setMs };
    const time = new OriginTime(clock);
    t.equal(time.offsetMs, undefined);
    for (const delayMs of [40, 3, 900]) {
      await virtual.advance(4_000);
      time.heard(virtual.nowMs() - delayMs);
    }
    t.equal(time.offsetMs, 3);
    await virtual.advance(60_000);
    t.equal(time.offsetMs, 3, "without pings too");
    for (const ms of [-3_600_000, 3_600_000]) {
      setMs = ms;
      t.equal(time.offsetMs, ms + 3, "the own clock is set: known at once");
    }
    setMs = 0;
    time.heard(virtual.nowMs() + 60_000);
    t.equal(time.offsetMs, -60_000, "the origin's is set forward: known at once");
    for (let ping = 0; ping < 9; ping += 1) time.heard(virtual.nowMs() - 60_000);
    t.equal(time.offsetMs, -60_000);
    time.heard(virtual.nowMs() - 60_000);
    t.equal(time.offsetMs, 60_000, "set back: once the pings before it are forgotten");
  },
);
