import t from "tap";
import { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import { Admission, RETRY_AFTER_SECONDS_MAX, STREAMS_AT_ONCE_MAX, STREAMS_PER_SECOND_MAX } from "./admission.ts";

t.test("so many are let in at once, and the others are told their turns", async (t) => {
  const clock = new VirtualClock();
  const admission = new Admission(clock);
  for (let count = 0; count < STREAMS_AT_ONCE_MAX; count += 1) t.equal(admission.ask(), 0);
  const waits = Array.from({ length: 3 * STREAMS_PER_SECOND_MAX }, () => admission.ask());
  for (const second of [1, 2, 3]) {
    t.equal(waits.filter((wait) => wait === second).length, STREAMS_PER_SECOND_MAX, `in ${second} s`);
  }
  t.end();
});

t.test("a herd of any size is told to wait so long at most, and is let in at the pace", async (t) => {
  const clock = new VirtualClock();
  const admission = new Admission(clock);
  const herd = 20_000;
  let waiting: { readonly atMs: number }[] = Array.from({ length: herd }, () => ({ atMs: 0 }));
  let [asked, longest] = [0, 0];
  for (let second = 0; waiting.length > 0; second += 1) {
    if (second > herd / STREAMS_PER_SECOND_MAX + RETRY_AFTER_SECONDS_MAX) {
      t.fail(`${waiting.length} wait after ${second} s`);
      return;
    }
    const due = waiting.filter(({ atMs }) => atMs <= clock.monotonicMs());
    waiting = waiting.filter(({ atMs }) => atMs > clock.monotonicMs());
    for (const _ of due) {
      asked += 1;
      const seconds = admission.ask();
      longest = Math.max(longest, seconds);
      if (seconds > 0) waiting.push({ atMs: clock.monotonicMs() + seconds * 1000 });
    }
    await clock.advance(1000);
  }
  t.equal(longest, RETRY_AFTER_SECONDS_MAX);
  t.ok(asked < 4 * herd, `each asks a few times: ${asked / herd}`);
});
