/** The client's times: what one part stamps another measures. */
import t from "tap";
import { startEpochMs } from "./clock.ts";

t.test("parts of a client have one epoch, whatever became of the machine's time between their starts", (t) => {
  let [epochMs, sinceStartMs] = [1_700_000_000_000, 100];
  const clock = { nowMs: () => epochMs, monotonicMs: () => sinceStartMs };
  const first = startEpochMs(clock);
  epochMs += 600_000;
  sinceStartMs += 7.5;
  const second = startEpochMs(clock);
  t.equal(second(), first());
  t.equal(first(), 1_700_000_000_007.5);
  t.equal(startEpochMs({ ...clock })(), epochMs, "another clock has its own");
  t.end();
});
