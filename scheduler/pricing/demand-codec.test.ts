import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import t from "tap";
import {
  CHOICE_POOLS_MAX,
  DEMAND_TEXT_BYTES_MAX,
  packDemand,
  parseDemand,
  type ToldAttempt,
  type ToldWish,
} from "./demand-codec.ts";

const name = fc.stringMatching(/^[a-z]{1,12}$/);
const rttMs = fc.integer({ min: 0, max: 3000 }).map((tenths) => tenths / 10);
const choice = fc
  .uniqueArray(fc.tuple(name, rttMs), { maxLength: CHOICE_POOLS_MAX, minLength: 1, selector: ([pool]) => pool })
  .map((entries) => entries.sort(([, a], [, b]) => a - b))
  .map((entries) => ({ pools: entries.map(([pool]) => pool), rttMs: entries.map(([, rtt]) => rtt) }));
const plain = { noNullPrototype: true };
const degrees = { latitude: fc.integer({ min: -90, max: 90 }), longitude: fc.integer({ min: -180, max: 180 }) };
const coordinates = fc.record(degrees, plain);
const client = fc.record(
  {
    groups: fc.array(fc.constantFrom("cell:38,-10", "cell:0,0", "country:PT", "cell:51,0"), { maxLength: 3 }),
    coordinates: fc.option(coordinates, { nil: undefined }),
  },
  plain,
);
const outcome = fc.oneof(
  fc.record({ state: fc.constant("placed" as const), pool: name }),
  fc.record({ state: fc.constantFrom("waiting" as const, "refused" as const), pool: fc.constant(undefined) }),
);
const attemptOf = (session: string): fc.Arbitrary<ToldAttempt> =>
  fc
    .tuple(
      outcome,
      fc.record({
        ...{ session: fc.constant(session), client, roomMs: fc.integer({ min: 0, max: 200 }), renderClass: name },
        ...{ isNew: fc.boolean(), decision: fc.option(choice, { nil: undefined }) },
      }),
    )
    .map(([of, rest]) => ({ ...rest, ...of }));
const wish: fc.Arbitrary<ToldWish> = fc.stringMatching(/^[A-Za-z0-9_-]{8,64}$/).chain((session) =>
  fc.record(
    {
      session: fc.constant(session),
      ageMs: fc.integer({ min: 0, max: 1e6 }),
      attempt: fc.option(attemptOf(session), { nil: undefined }),
    },
    plain,
  ),
);

t.test("what is told is read as it was, and no byte more than the most is told", async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(wish, { maxLength: 30 }), fc.integer({ min: 50, max: 4_000 }), (wishes, bytesMax) => {
        const { text, told } = packDemand(wishes, bytesMax);
        const read = text === "" ? [] : parseDemand(text);
        const rest = packDemand(wishes.slice(told), DEMAND_TEXT_BYTES_MAX);
        return (
          Buffer.byteLength(text) <= bytesMax &&
          isDeepStrictEqual(read, wishes.slice(0, told)) &&
          told + rest.told === wishes.length
        );
      }),
    ),
  );
});

t.test("one session more than the bytes hold waits", async (t) => {
  const wishes = ["first", "second", "third"].map((session) => ({ session, ageMs: 0, attempt: undefined }));
  const { text } = packDemand(wishes);
  t.equal(packDemand(wishes, Buffer.byteLength(text) + 1).told, 3);
  t.equal(packDemand(wishes, Buffer.byteLength(text) - 1).told, 2);
  t.equal(parseDemand(packDemand(wishes, Buffer.byteLength(text) - 1).text)?.length, 2);
});

t.test("of a session that does not fit no name is told", async (t) => {
  const client = { groups: ["cell:1,1"], coordinates: undefined };
  const placed = {
    client,
    roomMs: 20,
    renderClass: "small",
    state: "placed",
    pool: "p".repeat(200),
    isNew: true,
  } as const;
  const wishes = [
    { session: "first", ageMs: 0, attempt: undefined },
    { session: "second", ageMs: 0, attempt: { ...placed, session: "second" } },
  ];
  const { text, told } = packDemand(wishes, 240);
  t.equal(told, 1);
  t.equal(text, packDemand(wishes.slice(0, 1)).text);
});

t.test("a full turn is read, and a longer text is not", async (t) => {
  const session = (index: number) => `${index}`.padStart(22, "s");
  const wishes = Array.from({ length: 10_000 }, (_, index) => ({
    session: session(index),
    ageMs: 5,
    attempt: undefined,
  }));
  const { text, told } = packDemand(wishes);
  t.ok(told > 2_000 && told < wishes.length, `${told} told`);
  t.equal(parseDemand(text)?.length, told);
  t.equal(parseDemand(text.padEnd(DEMAND_TEXT_BYTES_MAX))?.length, told);
  t.equal(parseDemand(text.padEnd(DEMAND_TEXT_BYTES_MAX + 1)), undefined);
});

t.test(`of what a session may choose from the nearest ${CHOICE_POOLS_MAX} are told`, async (t) => {
  const pools = Array.from({ length: 20 }, (_, index) => `p${index}`);
  const decision = { pools, rttMs: pools.map((_, index) => 40 - index) };
  const placed = { state: "placed", pool: "p0", isNew: true } as const;
  const asked = { session: "s", client: { groups: [], coordinates: undefined }, roomMs: 20, renderClass: "small" };
  const { text } = packDemand([{ session: "s", ageMs: 0, attempt: { ...asked, ...placed, decision } }]);
  const read = parseDemand(text)?.[0]?.attempt?.decision;
  t.same(read?.pools, pools.toReversed().slice(0, CHOICE_POOLS_MAX));
  t.equal(read?.rttMs[0], 21);
});

t.test("what is none of ours is read as nothing", async (t) => {
  const placed = (row: unknown[]) => JSON.stringify([[[["cell:1,1"], 20, []]], ["near"], ["small"], [row]]);
  t.equal(parseDemand(placed(["s", 0, 1, 1, 0, 0, 0, []]))?.length, 1);
  for (const text of [
    ...["", "{", "[]", "null", "[[],[],[]]", '[[],[],[],[["s"]]]', '[[],[],[],[["s",0,9,0,-1,-1,-1,[]]]]'],
    placed(["s", 0, 1, 1, 1, 0, 0, []]),
    placed(["s", 0, 1, 1, 0, 1, 0, []]),
    placed(["s", 0, 1, 1, 0, 0, -1, []]),
    placed(["s", 0, 2, 1, 0, 0, 0, []]),
    placed(["s", 0, 1, 1, 0, 0, 0, [1, 4]]),
    placed(["s", 0, 1, 1, 0, 0, 0, [0]]),
    placed(["s", -1, 1, 1, 0, 0, 0, []]),
    placed(["s".repeat(65), 0, 1, 1, 0, 0, 0, []]),
  ])
    t.equal(parseDemand(text), undefined, text);
  t.doesNotThrow(() => fc.assert(fc.property(fc.json(), (text) => parseDemand(text) === undefined)));
});
