/** By which way the origin is heard where siblings are silent. */
import t from "tap";
import { Failure } from "#domain/failure.ts";
import { systemRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { ASKING_MS_MAX, RelayRoute } from "./relay-route.ts";

t.test("where no sibling answers at all, the origin is gone to after two of them", async (t) => {
  const clock = new VirtualClock();
  const asked: string[] = [];
  let links = 0;
  const nothing = (): void => undefined;
  const route = new RelayRoute({
    direct: async function* () {
      links += 1;
      yield* [];
    },
    relay: { size: 0, linked: nothing, unlinked: nothing, merge: (messages) => messages, takeForSibling: nothing },
    candidates: () =>
      Array.from({ length: 49 }, (_, index) => ({ name: `near-${index}`, pool: "near", address: "192.0.2.1:7600" })),
    dial: async ({ name }, signal) => {
      asked.push(name);
      await clock.sleep(600_000, signal).catch(() => undefined);
      throw new Failure("unavailable", `${name} is silent`, { retryable: true });
    },
    ...{ clock, random: systemRandom, events: { linkedBy: nothing, relayFailed: nothing } },
  });
  const { signal } = new AbortController();
  const found = route.next(signal);
  await clock.advance(ASKING_MS_MAX);
  for await (const _ of (await found)(nobody(), signal)) t.fail("the stream is empty");
  t.same(asked, ["near-0", "near-1"]);
  t.equal(links, 1, "directly");
});

async function* nobody(): AsyncGenerator<never> {
  yield* [];
}
