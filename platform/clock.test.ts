import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";

t.test("a virtual clock runs timers in the order of their due times", async (t) => {
  const clock = new VirtualClock(1_000);
  const ran: string[] = [];
  clock.timer(20, () => ran.push(`late at ${clock.nowMs()}`));
  clock.timer(10, () => ran.push(`early at ${clock.nowMs()}`));
  clock.timer(10, () => ran.push("second early"));
  const dropped = clock.timer(15, () => ran.push("never"));
  dropped[Symbol.dispose]();
  await clock.advance(30);
  t.strictSame(ran, ["early at 1010", "second early", "late at 1020"]);
  t.equal(clock.nowMs(), 1_030);
  t.equal(clock.pendingTimers, 0);
});

t.test("a repeated run never overlaps itself and keeps its period", async (t) => {
  const clock = new VirtualClock();
  const startedAt: number[] = [];
  using _repeated = clock.every(10, async () => {
    startedAt.push(clock.monotonicMs());
    await clock.sleep(startedAt.length === 2 ? 25 : 4);
  });
  await clock.advance(70);
  t.strictSame(startedAt, [10, 20, 45, 55, 65]);
});

t.test("a disposed repetition stops, also from within its own run", async (t) => {
  const clock = new VirtualClock();
  let runs = 0;
  const repeated = clock.every(5, () => {
    runs += 1;
    if (runs === 3) repeated[Symbol.dispose]();
  });
  await clock.advance(100);
  t.equal(runs, 3);
  t.equal(clock.pendingTimers, 0);
});

t.test("a sleep ends early with the reason of its signal", async (t) => {
  for (const clock of [systemClock, new VirtualClock()]) {
    const controller = new AbortController();
    const asleep = clock.sleep(1_000_000, controller.signal);
    const reason = new Error("enough");
    controller.abort(reason);
    await t.rejects(asleep, reason);
    await t.rejects(clock.sleep(1, controller.signal), reason, "a signal aborted before counts as well");
  }
});

t.test("a deadline aborts with a retryable failure, or with its parent's reason", async (t) => {
  const clock = new VirtualClock();
  const alone = clock.deadline(50);
  const parent = new AbortController();
  const child = clock.deadline(100, parent.signal);
  await clock.advance(60);
  t.ok(isFailure(alone.reason, "deadline-exceeded") && alone.reason.retryable);
  t.notOk(child.aborted);
  parent.abort("gone");
  t.equal(child.reason, "gone");
  t.equal(clock.deadline(10, parent.signal).reason, "gone");
  t.equal(clock.pendingTimers, 0, "no timer is left behind");
});

t.test("the system clock fires a timer, and not one longer than a setTimeout can hold", async (t) => {
  using far = systemClock.timer(2 ** 33, () => t.fail("fired at once"));
  await new Promise<void>((resolve) => systemClock.timer(5, resolve));
  t.ok(far);
  t.ok(systemClock.monotonicMs() > 0);
});
