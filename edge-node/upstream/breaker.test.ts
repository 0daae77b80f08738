import t from "tap";
import { seededRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { BROKEN_TARGETS_MAX, Breaker, LATE_TARGETS_MAX, UNREACHED_MAX } from "./breaker.ts";

function start(seed = 1) {
  const clock = new VirtualClock();
  return { clock, breaker: new Breaker({ clock, random: seededRandom(seed) }) };
}

/** Seconds, of `during`, in which a request for the target is admitted. */
async function admissions({ clock, breaker }: ReturnType<typeof start>, target: string, during: number) {
  const admitted: number[] = [];
  for (let second = 0; second < during; second += 0.1) {
    if (breaker.admits(target)) admitted.push(second);
    await clock.advance(100);
  }
  return admitted;
}

t.test("an upstream that nobody reaches is asked no more, but for probes that grow rarer", async (t) => {
  const world = start();
  const { breaker } = world;
  for (let failures = 0; failures < UNREACHED_MAX; failures += 1) {
    t.ok(!breaker.isOpen && breaker.admits("/"), `after ${failures}`);
    breaker.unreached();
  }
  t.ok(breaker.isOpen && breaker.isSuspect("/"));
  const taken = await admissions(world, "/", 300);
  t.ok(taken.length > 10 && taken.length < 30, `${taken.length} probes in 300 s`);
  const [first = 0, second = 0] = taken;
  const last = (taken.at(-1) ?? 0) - (taken.at(-2) ?? 0);
  t.ok(second - first <= 4.1 && last >= 15, "each interval twice the last, up to a cap");
  breaker.reached();
  t.ok(!breaker.isOpen && breaker.admits("/"), "one connection is enough, whatever is asked on it");
});

t.test("a probe that was taken is the next request's", async (t) => {
  const { breaker } = start();
  for (let failures = 0; failures < UNREACHED_MAX; failures += 1) breaker.unreached();
  t.ok(breaker.takeProbe());
  t.ok(breaker.admits("/"));
  t.notOk(breaker.admits("/"));
});

t.test("one page that has its connection cut does not close the others", async (t) => {
  const world = start();
  const { breaker } = world;
  for (let times = 0; times < 1000; times += 1) breaker.broke("/bad");
  t.notOk(breaker.isOpen);
  for (let index = 1; index < BROKEN_TARGETS_MAX; index += 1) breaker.broke(`/bad?${index}`);
  t.ok(breaker.isOpen);
  t.ok(breaker.admits("/bad"), "the first probe");
  t.notOk(breaker.admits("/bad"));
  t.ok(breaker.admits("/good"), "that has not been seen to break");
  const bad = await admissions(world, "/bad", 20);
  t.ok(bad.length < 10, `${bad.length} of 200`);
  breaker.answered();
  t.notOk(breaker.isOpen);
});

t.test("targets that take too long make it suspect, and never dead", async (t) => {
  const { breaker } = start();
  for (let times = 0; times < 100; times += 1) breaker.late("/slow");
  t.notOk(breaker.isSuspect("/"), "one target");
  t.ok(breaker.isSuspect("/slow"), "nobody waits for that one again");
  for (let index = 1; index < LATE_TARGETS_MAX; index += 1) breaker.late(`/slow?${index}`);
  t.ok(breaker.isSuspect("/"));
  for (let index = 0; index < 100; index += 1) breaker.late(`/other?${index}`);
  t.notOk(breaker.isOpen);
  breaker.answered();
  t.notOk(breaker.isSuspect("/slow"));
});

t.test("edges do not probe together", async (t) => {
  const waits = [1, 2, 3].map((seed) => {
    const { breaker } = start(seed);
    breaker.takeProbe();
    return breaker.retryAfterMs;
  });
  t.equal(new Set(waits).size, 3);
  t.ok(waits.every((wait) => wait >= 500 && wait <= 1000));
});
