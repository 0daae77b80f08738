/** Whoever may try a sibling that is silent or gone and does not ask it leaves the try to others. */
import t from "tap";
import { seededRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { SILENT_MS_MAX, SiblingHealth } from "./sibling-health.ts";

const PAUSE_MS = 1_500;

t.test("a question to a silent one that was not asked is asked later, and its silence goes on counting", async (t) => {
  const clock = new VirtualClock(0, 1);
  const health = new SiblingHealth(clock, seededRandom(1));
  health.silent("near-1", clock.monotonicMs());
  t.notOk(health.mayAsk("near-1"), "not at once");
  for (let second = 0; second < 10; second += 1) {
    await clock.advance(PAUSE_MS);
    t.ok(health.mayAsk("near-1"), "one tries it");
    t.notOk(health.mayAsk("near-1"), "and the others wait for what becomes of that");
    health.notAsked("near-1");
    t.notOk(health.mayAsk("near-1"), "not at once");
    t.notOk(health.isGone("near-1"), "nothing new is known");
  }
  await clock.advance(SILENT_MS_MAX);
  t.ok(health.mayAsk("near-1"));
  health.silent("near-1", clock.monotonicMs());
  t.ok(health.isGone("near-1"), "silent to two questions since");
});

t.test("a question to one that is gone that was not asked leaves it gone, and is asked later", async (t) => {
  const clock = new VirtualClock(0, 1);
  const health = new SiblingHealth(clock, seededRandom(1));
  health.unreached("near-1");
  for (let turn = 0; turn < 3; turn += 1) {
    await clock.advance(PAUSE_MS);
    t.ok(health.mayAsk("near-1"), "one tries it");
    health.notAsked("near-1");
    t.ok(health.isGone("near-1"), "nothing new is known");
    t.notOk(health.mayAsk("near-1"), "not at once");
  }
  await clock.advance(PAUSE_MS);
  t.ok(health.mayAsk("near-1"));
  health.heard("near-1");
  t.notOk(health.isGone("near-1"));
});
