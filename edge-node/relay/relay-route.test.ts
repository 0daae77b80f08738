/** By which way the origin is heard where siblings are silent. */
import { create } from "@bufbuild/protobuf";
import t from "tap";
import { OriginMessageSchema } from "#contracts/generated/perigee/v1/node_pb.js";
import { Failure } from "#domain/failure.ts";
import { seededRandom, systemRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { type ConnectOrigin, HANDOVER } from "../link/origin-link.ts";
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

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

t.test(
  "an edge that a sibling relays for hears the origin itself now and then, and soon the sibling again",
  async (t) => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const heard = await hearFor(130 * MINUTE_MS, seed);
      const [first, own, again, ownAgain] = heard;
      const seen = `seed ${seed}: ${JSON.stringify(heard)}`;
      t.same([first?.by, own?.by, again?.by, ownAgain?.by], ["near-0", undefined, "near-0", undefined], seen);
      const [relayedMs, ownMs] = [(own?.atMs ?? 0) - (first?.atMs ?? 0), (again?.atMs ?? 0) - (own?.atMs ?? 0)];
      t.ok(relayedMs >= 30 * MINUTE_MS && relayedMs <= 60 * MINUTE_MS, seen);
      t.ok(ownMs >= 15 * SECOND_MS && ownMs <= 30 * SECOND_MS, seen);
    }
  },
);

/** By whom an edge with one sibling before it hears the origin, where neither ever ends a stream. */
async function hearFor(ms: number, seed: number) {
  const clock = new VirtualClock();
  const sinceMs = clock.monotonicMs();
  const heard: { readonly by: string | undefined; readonly atMs: number }[] = [];
  const nothing = (): void => undefined;
  const route = new RelayRoute({
    direct: lasting,
    relay: { size: 0, linked: nothing, unlinked: nothing, merge: (messages) => messages, takeForSibling: nothing },
    candidates: () => [{ name: "near-0", pool: "near", address: "192.0.2.1:7600" }],
    dial: async () => lasting,
    ...{ clock, random: seededRandom(seed) },
    events: {
      linkedBy: (by) => void heard.push({ by, atMs: clock.monotonicMs() - sinceMs }),
      relayFailed: nothing,
    },
  });
  const ending = new AbortController();
  const linked = stayLinked(route, ending.signal);
  await clock.advance(ms);
  ending.abort(new Failure("unavailable", "the test is over"));
  await linked;
  return heard;
}

/** As a link does whose streams end by handover only. */
async function stayLinked(route: RelayRoute, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const connect = await route.next(signal);
    try {
      for await (const _ of connect(nobody(), signal));
    } catch (error) {
      if (error !== HANDOVER && error !== signal.reason) throw error;
    }
  }
}

const lasting: ConnectOrigin = async function* (_messages, signal) {
  yield create(OriginMessageSchema, { message: { case: "ping", value: {} } });
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  throw signal.reason;
};

async function* nobody(): AsyncGenerator<never> {
  yield* [];
}

t.test("a relay that is found too late is let go: a sibling came to this edge meanwhile", async (t) => {
  const clock = new VirtualClock();
  const nothing = (): void => undefined;
  const relay = { size: 0, linked: nothing, unlinked: nothing, takeForSibling: nothing };
  const told: string[] = [];
  const first = { name: "near-1", pool: "near", address: "192.0.2.1:7600" };
  let isThere = false;
  const route = new RelayRoute({
    direct: async function* (_messages, signal) {
      await clock.sleep(600_000, signal).catch(nothing);
      yield* [];
    },
    relay: {
      ...relay,
      merge: (messages) => messages,
      get size() {
        return relay.size;
      },
    },
    candidates: () => (isThere ? [first] : []),
    dial: async () => {
      relay.size = 1;
      return async function* (_messages, signal) {
        told.push(signal.aborted ? "left" : "used");
        yield* [];
      };
    },
    ...{ clock, random: systemRandom, events: { linkedBy: nothing, relayFailed: nothing } },
  });
  const stopping = new AbortController();
  const connect = await route.next(stopping.signal);
  const link = (async () => {
    for await (const _ of connect(nobody(), stopping.signal)) t.fail("the stream is empty");
  })();
  isThere = true;
  await clock.advance(30_000);
  t.same(told, ["left"]);
  stopping.abort();
  await clock.settle();
  await link.catch(nothing);
});
