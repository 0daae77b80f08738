import t from "tap";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { SessionWatches, WATCH_MS_MAX, WATCHES_MAX } from "./session-watches.ts";

const SIGNAL = new AbortController().signal;

t.test("a watch ends by news, by time, by a newer one, or when its client leaves", async (t) => {
  const clock = new VirtualClock();
  const counts: number[] = [];
  const watches = new SessionWatches(clock, (count) => void counts.push(count));
  const told = watches.wait("s-1", SIGNAL);
  watches.tell("s-2", { state: "ended", reason: "another's" });
  watches.tell("s-1", { state: "ended", reason: "gpu-lost" });
  t.same(await told, { state: "ended", reason: "gpu-lost" });
  const late = watches.wait("s-1", SIGNAL);
  await clock.advance(WATCH_MS_MAX);
  t.same(await late, { state: "held" });
  const older = watches.wait("s-1", SIGNAL);
  const leaving = new AbortController();
  const newer = watches.wait("s-1", leaving.signal);
  t.same(await older, { state: "held" });
  leaving.abort();
  t.same(await newer, { state: "held" });
  t.equal(counts.at(-1), 0);
  t.equal(clock.pendingTimers, 0);
});

t.test("one more than there may be is refused at once, and so is who comes while the edge stops", async (t) => {
  const watches = new SessionWatches(new VirtualClock(), () => undefined);
  const all = Array.from({ length: WATCHES_MAX }, (_, at) => watches.wait(`s-${at}`, SIGNAL));
  await t.rejects(watches.wait("one-more", SIGNAL), { code: "overloaded", retryable: true });
  all.push(watches.wait("s-0", SIGNAL));
  t.same(await all[0], { state: "held" }, "who asks again takes the place of its own");
  watches[Symbol.dispose]();
  t.ok((await Promise.all(all)).every(({ state }) => state === "held"));
  await t.rejects(watches.wait("s-1", SIGNAL), { code: "unavailable" });
});
