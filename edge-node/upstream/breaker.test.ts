import t from "tap";
import { seededRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { Breaker } from "./breaker.ts";

function start() {
  const clock = new VirtualClock();
  return { clock, breaker: new Breaker({ clock, random: seededRandom(1) }) };
}

t.test("an upstream that nobody reaches is asked no more, but for probes that grow rarer", async (t) => {
  const { clock, breaker } = start();
  for (let failures = 0; failures < 5; failures += 1) {
    t.notOk(breaker.isOpen, `after ${failures}`);
    breaker.failed("unreachable");
  }
  t.ok(breaker.isOpen && breaker.isSuspect);
  const taken: number[] = [];
  for (let second = 0; second < 300; second += 0.1) {
    if (breaker.takeProbe()) taken.push(second);
    await clock.advance(100);
  }
  t.ok(taken.length > 10 && taken.length < 30, `${taken.length} probes in 300 s`);
  const [first = 0, second = 0] = taken;
  t.ok(
    second - first <= 4.1 && (taken.at(-1) ?? 0) - (taken.at(-2) ?? 0) >= 15,
    "each interval twice the last, up to a cap",
  );
  breaker.answered();
  t.notOk(breaker.isOpen || breaker.isSuspect);
});

t.test("one that answers others is not down, and one request that is cut off says little", async (t) => {
  const { clock, breaker } = start();
  breaker.answered();
  for (let failures = 0; failures < 29; failures += 1) breaker.failed("broken");
  await clock.advance(2000);
  t.notOk(breaker.isOpen || breaker.isSuspect, "29 cut off");
  breaker.failed("broken");
  t.ok(breaker.isOpen, "30 cut off, and nobody answered since");
  t.notOk(breaker.isSuspect, "it takes connections");
  breaker.answered();
  for (let failures = 0; failures < 30; failures += 1) breaker.failed("unreachable");
  t.notOk(breaker.isOpen, "somebody was answered within this second");
});

t.test("edges do not probe together", async (t) => {
  const waits = [1, 2, 3].map((seed) => {
    const breaker = new Breaker({ clock: new VirtualClock(), random: seededRandom(seed) });
    breaker.failed("unreachable");
    return breaker.retryAfterMs;
  });
  t.equal(new Set(waits).size, 3);
  t.ok(waits.every((wait) => wait >= 500 && wait <= 1000));
});
