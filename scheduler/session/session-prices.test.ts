/** Sessions by prices that are made of their own demand, beside the same sessions without. */
import t from "tap";
import { DemandCounter } from "../pricing/demand-counter.ts";
import { countOf, ROUNDS_JUDGED, runDemand } from "./demand-world.test.ts";
import { Client, World } from "./session-world.test.ts";

/** Half of those who come have another pool within their 14 ms, half have not. */
const KINDS = {
  flexible: { groups: ["cell:1,1"], rttMs: { near: 4, middle: 8, far: 60 } },
  bound: { groups: ["cell:2,2"], rttMs: { near: 4, middle: 40, far: 60 } },
};
/** At `near` more than one kind wants at once, and less than both. */
const contended = { kinds: KINDS, slots: [16, 32] } as const;

t.test("who can go elsewhere within the limit does, and who cannot keeps the contended pool", async (t) => {
  const plain = await runDemand(t, { ...contended, isPricing: false });
  const priced = await runDemand(t, { ...contended, isPricing: true });
  t.equal(countOf(plain.flexible, ""), 0, "who has another pool finds room either way");
  t.ok(countOf(plain.bound, "") > 4, `without prices, went ${plain.bound.join()}`);
  t.notMatch(plain.why, /prices of version/);
  t.match(plain.why, /price 0\.0/);

  t.equal(countOf(priced.flexible, "middle"), ROUNDS_JUDGED, `went ${priced.flexible.join()}`);
  t.equal(countOf(priced.bound, "near"), ROUNDS_JUDGED, `went ${priced.bound.join()}`);
  const { version, byPool } = priced.published.current();
  t.ok((byPool.get("near") ?? 0) > 4, `more than what middle is farther, got ${byPool.get("near")}`);
  const [, named] = /placed: middle[\s\S]*by prices of version (\d+)/.exec(priced.why) ?? [];
  t.ok(Number(named) > 0 && Number(named) <= version, `version ${named} in: ${priced.why}`);
  t.match(priced.why, /near: RTT 4\.0 ms[^\n]*rtt 4\.0 \+ price (?!0\.0)\d+\.\d/);
});

t.test("a session that runs does not leave its contended pool for the price of its own slot", async (t) => {
  const world = await World.create();
  const prices = { current: () => ({ version: 7, byPool: new Map([["near", 50]]), expectedByPool: new Map() }) };
  const demand = new DemandCounter(world.clock);
  const replica = await world.replica("s1", undefined, { wishes: demand, prices });
  const client = await Client.create(world);
  const { session, candidates } = await client.create(replica.service);
  const first = await client.place(replica.service, session, await client.results(candidates, { near: 4 }));
  if (first.state === "queued") throw new Error("placed");
  t.equal(first.pool, "near");
  const results = await client.results(candidates, KINDS.flexible.rttMs);
  const renewal = { session, placement: first.placement, reason: "promotion" as const };
  t.equal(await client.renew(replica.service, renewal, results), undefined, "kept");
  t.same([demand.countAt("near"), demand.alive], [1, 1]);
  const heir = new DemandCounter(world.clock);
  const other = await world.replica("s2", undefined, { wishes: heir, prices });
  t.equal(await client.renew(other.service, renewal, results), undefined);
  t.same([heir.countAt("near"), Math.max(...heir.takeTurn().arrivals)], [1, 0], "a replica that starts learns of it");
  const another = await Client.create(world);
  const created = await another.create(replica.service);
  const answer = await another.place(
    replica.service,
    created.session,
    await another.results(created.candidates, KINDS.flexible.rttMs),
  );
  t.match(answer, { state: "placed", pool: "middle" }, "a new one pays");
  await client.end(replica.service, session);
  t.same([demand.countAt("near"), demand.countAt("middle"), demand.alive], [0, 1, 1]);
});
