/** What tests of prices and of demand share: sessions of two kinds that come and go at pools, by what is made of their own demand. */
import t, { type Test } from "tap";
import { solvePrices } from "#domain/placement/prices.ts";
import { createExplainStore } from "../explain/explain-store.ts";
import { DemandCounter } from "../pricing/demand-counter.ts";
import { PublishedPrices } from "../pricing/price-source.ts";
import { partsOfArrival, readChoice } from "../pricing/recorded-choice.ts";
import { PricingLoop } from "../pricing/slow-loop.ts";
import { Client, queueing, type Rtts, World } from "./session-world.test.ts";

const TURN_SECONDS = 5;
/** In each round one of each kind comes; it stays for so many rounds. */
const STAY_ROUNDS = 12;
const ROUNDS = 48;
/** What is judged: those that come once the fleet is as full as it gets. */
export const ROUNDS_JUDGED = 24;

export interface DemandRun {
  readonly isPricing: boolean;
  /** Of `near` and `middle`. */
  readonly slots: readonly [number, number];
  readonly kinds: {
    readonly [Kind in "flexible" | "bound"]: { readonly groups: readonly string[]; readonly rttMs: Rtts };
  };
}

export async function runDemand(t: Test, { isPricing, slots: [near, middle], kinds }: DemandRun) {
  const world = await World.create();
  world.policies = [{ name: "calm", spec: queueing }];
  Object.assign(world.pools.get("near")?.slots ?? {}, { total: near, free: near });
  Object.assign(world.pools.get("middle")?.slots ?? {}, { total: middle, free: middle });
  const { clock } = world;
  const explain = createExplainStore();
  const published = new PublishedPrices(clock);
  const counter = new DemandCounter(clock, (choice) => {
    if (choice instanceof Uint8Array) published.arrived(partsOfArrival(readChoice(choice, explain.pools)));
  });
  const replica = await world.replica("s1", undefined, { wishes: counter, prices: published, explain });
  const { ledger, rttMap } = replica;
  const failures: unknown[] = [];
  const loop = new PricingLoop({
    ...{ clock, counter, published, ledger, rttMap, pools: explain.pools, turnSeconds: TURN_SECONDS },
    facts: { listPools: () => world.listPools() },
    solver: { solve: async (problem, previous) => ({ solution: solvePrices(problem, previous), cpuMs: 0 }) },
    events: {
      priced: () => undefined,
      pricingFailed: (failure) => failures.push(failure),
      pricesMissed: () => undefined,
      pricesLost: () => undefined,
      pricesRegained: () => undefined,
    },
  });
  t.teardown(() => loop[Symbol.dispose]());
  loop.setActive(isPricing);
  const went: Record<keyof typeof kinds, string[]> = { flexible: [], bound: [] };
  const running: (() => Promise<void>)[][] = [];
  let why = "";
  const come = async (kind: keyof typeof kinds) => {
    world.groups = kinds[kind].groups;
    const client = await Client.create(world);
    const { session, candidates } = await client.create(replica.service);
    const results = await client.results(candidates, kinds[kind].rttMs);
    const answer = await client.place(replica.service, session, results);
    if (kind === "flexible") why = explain.explain(answer.decision)?.lines.join("\n") ?? "";
    const pool = "pool" in answer ? answer.pool : "";
    went[kind].push(pool);
    const { slots, sessions } = world.pools.get(pool) ?? {};
    if (slots !== undefined) slots.free -= 1;
    sessions?.push(session);
    running.at(-1)?.push(async () => {
      await client.end(replica.service, session);
      if (slots !== undefined) slots.free += 1;
      sessions?.splice(sessions.indexOf(session), 1);
    });
    await world.report(replica);
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    if (running.length >= STAY_ROUNDS) for (const leave of running.shift() ?? []) await leave();
    running.push([]);
    await come("flexible");
    await come("bound");
    await clock.advance(TURN_SECONDS * 1000);
    await world.report(replica);
  }
  t.same(failures, []);
  const judged = (pools: readonly string[]) => pools.slice(-ROUNDS_JUDGED);
  return { flexible: judged(went.flexible), bound: judged(went.bound), why, published };
}

export const countOf = (pools: readonly string[], pool: string): number => pools.filter((name) => name === pool).length;

t.equal(countOf(["near", "far", "near"], "near"), 2);
