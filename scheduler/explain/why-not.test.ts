import t from "tap";
import { Client, placedIn, RTT, World } from "../session/session-world.test.ts";
import { answerWhyNot } from "./why-not.ts";

const lisbon = { latitude: 38.72, longitude: -9.14 };
const tokyo = { latitude: 35.68, longitude: 139.69 };

async function placeOne() {
  const { placed, session, ...decision } = await recordedDecision();
  const whyNot = (name: string, coordinates = lisbon) =>
    answerWhyNot(decision.record, decision.found, { name, coordinates });
  return { placed, whyNot, session };
}

/** Seven pools that may take a session: of the four beside the usual three one is far away, and so not probed. */
async function recordedDecision() {
  const world = await World.create();
  for (const name of ["d4", "d5", "d6", "d7"]) await world.addPool(name);
  world.setPool("d7", { coordinates: tokyo });
  world.setPool("d6", {}, { cordoned: true });
  await world.addPool("d8");
  const client = await Client.create(world);
  const { service, explain } = await world.replica();
  const { session, candidates } = await client.create(service);
  const results = await client.results(candidates, { ...RTT, d4: 13, d5: 13.5, d8: 20 });
  const placed = placedIn(await client.place(service, session, results));
  const found = await explain.findSession(session);
  if (found?.record.kind !== "session") throw new TypeError("the session's decision is on record");
  const { record } = found;
  return { placed, session, record, found };
}

t.test("why not that pool: chosen, outscored, filtered by the first rule, or not considered at all", async (t) => {
  const { placed, whyNot, session } = await placeOne();
  t.equal(placed.pool, "near");
  const head = [`decision ${placed.decision}: session ${session}, attempt 1, app hall, tier strict, new`];
  t.match(whyNot("near"), {
    ...{ decision: placed.decision, pool: "near", verdict: "chosen", changes: [] },
    lines: [
      ...head,
      /^placed: near, ahead by 6.0 ms/,
      "render class small",
      /^near: RTT 4.0/,
      /is what the core chose/,
    ],
  });
  t.match(whyNot("middle"), {
    ...{ verdict: "outscored", rule: undefined, changes: [/lower by 6.0 ms/] },
    lines: [
      ...head,
      ...[/^placed: near/, "render class small", /^middle: RTT 10.0/, "behind near by 6.0 ms:"],
      ...["rtt: 10.0 beside 4.0, +6.0 ms", "price: 0.0 beside 0.0, +0.0 ms", /^fill/, /^preference/, /^stickiness/],
      "with an RTT, a price or a preference that is lower by 6.0 ms: it would win over near",
    ],
  });
  t.match(whyNot("far"), {
    ...{ verdict: "filtered", rule: "over-limit", changes: [/an RTT lower by 46.0 ms/, /lower by 10.0 ms/] },
    lines: [
      ...head,
      /^placed/,
      "render class small",
      /^far: RTT 60.0/,
      /^first rule that it fails: over-limit: RTT 60.0/,
    ],
  });
  t.match(whyNot("d6"), { verdict: "filtered", rule: "cordoned", changes: [/the pool open to new sessions/] });
  const absent = whyNot("d7", tokyo);
  t.match(absent, { verdict: "not-considered", changes: [] });
  t.match(absent.lines.slice(2), [
    "d7 was not considered",
    /^considered are up to six pools/,
    /^by geography it is \d{3}\.\d ms away, farther than each of those considered \(\d+\.\d ms at most\)/,
  ]);
  t.match(
    whyNot("new").lines.at(-1),
    /no farther than those considered .*: others came first, or it was not there yet/,
  );
});

t.test(
  "the pool that a session stays in is chosen, whatever it fails; of one that is noted, the note is why",
  async (t) => {
    const { record, found } = await recordedDecision();
    const kept = {
      ...record,
      outcome: { state: "kept", because: "no-fit", pool: "far", bestAchievableMs: 60 },
    } as const;
    const far = answerWhyNot(kept, found, { name: "far", coordinates: lisbon });
    t.match(far, { verdict: "chosen", rule: undefined, changes: [] });
    t.match(far.lines.slice(-2), [/^far: RTT 60.0/, "far is where the session is, and stays"]);
    const noted = { ...record, notes: ["empty: no agent holds render class small"] };
    const empty = answerWhyNot(noted, found, { name: "empty", coordinates: lisbon });
    t.match(empty.lines.slice(2), ["empty was not considered", "note: empty: no agent holds render class small"]);
    t.equal(empty.lines.length, 4);
  },
);
