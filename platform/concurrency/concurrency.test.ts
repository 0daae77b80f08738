import fc from "fast-check";
import t from "tap";
import { Failure } from "#domain/failure.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import { BoundedQueue } from "#platform/concurrency/bounded-queue.ts";
import { backoffMs, retry } from "#platform/concurrency/retry.ts";
import { SingleFlight } from "#platform/concurrency/single-flight.ts";
import { seededRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";

const never = new AbortController().signal;

t.test("a queue behaves as an array with a limit, in any order of pushes and takes", async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(fc.option(fc.nat())), (itemsMax, steps) => {
        const queue = new BoundedQueue<number>(itemsMax);
        const model: number[] = [];
        for (const item of steps) {
          if (item === null) {
            if (queue.tryTake() !== model.shift()) return false;
          } else {
            if (queue.push(item) !== (model.length < itemsMax ? "accepted" : "full")) return false;
            if (model.length < itemsMax) model.push(item);
          }
          if (queue.size !== model.length) return false;
        }
        return true;
      }),
    ),
  );
});

t.test("takers wait in turn, leave on abort and are told when the queue closes", async (t) => {
  const queue = new BoundedQueue<string>(2);
  const first = queue.take(never);
  const gone = new AbortController();
  const second = queue.take(gone.signal);
  const third = queue.take(never);
  gone.abort(new Error("left"));
  await t.rejects(second, { message: "left" });
  queue.push("a");
  queue.push("b");
  t.strictSame(await Promise.all([first, third]), ["a", "b"]);
  const last = queue.take(never);
  queue.push("c");
  queue.push("d");
  t.equal(await last, "c");
  const rest = queue.take(never);
  queue.close();
  t.equal(await rest, "d");
  await t.rejects(queue.take(never), { code: "unavailable" });
  t.equal(queue.push("e"), "closed");
});

t.test("a full queue can drop its oldest item", async (t) => {
  const queue = new BoundedQueue<number>(2);
  t.equal(queue.pushDroppingOldest(1), undefined);
  t.equal(queue.pushDroppingOldest(2), undefined);
  t.equal(queue.pushDroppingOldest(3), 1);
  t.strictSame([queue.tryTake(), queue.tryTake(), queue.tryTake()], [2, 3, undefined]);
});

t.test("concurrent calls for one key share one flight, also its failure", async (t) => {
  const flights = new SingleFlight<number>(1);
  let started = 0;
  const { promise, resolve } = Promise.withResolvers<number>();
  const start = (): Promise<number> => {
    started += 1;
    return promise;
  };
  const both = [flights.run("k", start), flights.run("k", start)];
  await t.rejects(flights.run("other", start), { code: "overloaded", retryable: true });
  resolve(7);
  t.strictSame(await Promise.all(both), [7, 7]);
  t.equal(started, 1);
  const failing = [0, 1].map(() => flights.run("k", () => Promise.reject(new Error("no"))));
  for (const flight of failing) await t.rejects(flight, { message: "no" });
  t.equal(flights.size, 0);
  await t.rejects(
    flights.run("k", () => {
      throw new Error("at once");
    }),
    { message: "at once" },
  );
  t.equal(flights.size, 0);
});

t.test("a retry waits with full jitter, only for what may pass, within count and deadline", async (t) => {
  const clock = new VirtualClock();
  const random = seededRandom(3);
  const policy = { attemptsMax: 3, baseMs: 100, capMs: 150 };
  const failing = (retryable: boolean) => {
    const calls: number[] = [];
    const attempt = (_signal: AbortSignal, number: number): Promise<never> => {
      calls.push(number);
      return Promise.reject(new Failure("unavailable", "down", { retryable }));
    };
    return { calls, attempt };
  };
  const passing = failing(true);
  const outcome = t.rejects(retry(policy, { clock, random, signal: never }, passing.attempt), { code: "unavailable" });
  await clock.advance(250);
  await outcome;
  t.strictSame(passing.calls, [1, 2, 3]);

  const lasting = failing(false);
  await t.rejects(retry(policy, { clock, random, signal: never }, lasting.attempt), { code: "unavailable" });
  t.strictSame(lasting.calls, [1]);

  const bugs: number[] = [];
  await t.rejects(
    retry(policy, { clock, random, signal: never }, async (_signal, number) => {
      bugs.push(number);
      throw new TypeError("bug");
    }),
    { message: "bug" },
  );
  t.strictSame(bugs, [1]);

  const late = retry(
    { attemptsMax: 100, baseMs: 50, capMs: 50 },
    { clock, random, signal: clock.deadline(80) },
    failing(true).attempt,
  );
  const ended = t.rejects(late, { code: "deadline-exceeded" });
  await clock.advance(100);
  await ended;
});

t.test("waits stay below a ceiling that doubles up to the cap", async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 60 }), (seed, attempt) => {
        const waitMs = backoffMs({ attemptsMax: 99, baseMs: 10, capMs: 1_000 }, attempt, seededRandom(seed));
        return waitMs >= 0 && waitMs <= Math.min(1_000, 10 * 2 ** (attempt - 1));
      }),
    ),
  );
});

t.test("a map pushes out the least recently used entry and what has expired", async (t) => {
  const clock = new VirtualClock();
  const evicted: string[] = [];
  const map = new BoundedMap<string, number>({
    entriesMax: 2,
    lifetime: { ms: 100, clock },
    onEvict: (key, value, because) => void evicted.push(`${key}=${value} ${because}`),
  });
  map.set("a", 1);
  map.set("b", 2);
  t.equal(map.get("a"), 1);
  map.set("c", 3);
  t.strictSame(evicted, ["b=2 limit"]);
  t.equal(map.peek("b"), undefined);
  await clock.advance(60);
  map.set("a", 10);
  await clock.advance(60);
  t.strictSame([...map.entries()], [["a", 10]]);
  t.strictSame(evicted, ["b=2 limit", "c=3 expired"]);
  map.delete("a");
  t.equal(map.size, 0);
  t.equal(evicted.length, 2, "a deleted entry is not evicted");
});
