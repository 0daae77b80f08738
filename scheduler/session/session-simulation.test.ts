import t from "tap";
import type { PlacementAnswer, ProbeTarget } from "#contracts/operator-api/sessions.ts";
import { type PlacementClaims, parseClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { isFailure } from "#domain/failure.ts";
import { verifyToken } from "#platform/identity/tokens.ts";
import { seededRandom } from "#platform/random.ts";
import { Client, World } from "./session-world.test.ts";

const STEPS = 40;
const CLIENTS = 6;
const SLOTS = 2;
const REASONS = ["promotion", "pool-lost", "refused", "draining"] as const;

interface Life {
  readonly client: Client;
  session: string;
  candidates: readonly ProbeTarget[];
  last: { readonly claims: PlacementClaims; readonly placement: string } | undefined;
}

/** Sessions come, renew and go at random while pools die, drain and fill; what must always hold is checked after each answer. */
async function simulate(seed: number): Promise<{ faults: string[]; placements: number }> {
  const world = await World.create();
  for (const { slots } of world.pools.values()) Object.assign(slots, { total: SLOTS, free: SLOTS });
  const random = seededRandom(seed);
  const replica = await world.replica();
  const { service } = replica;
  const faults: string[] = [];
  let placements = 0;
  const lives: Life[] = [];
  for (let index = 0; index < CLIENTS; index += 1) {
    lives.push({ client: await Client.create(world), session: "", candidates: [], last: undefined });
  }
  const check = async (life: Life, answer: PlacementAnswer | undefined): Promise<void> => {
    if (answer === undefined || answer.state === "queued") return;
    placements += 1;
    const { networkMsP95, rttLimitMs } = answer.budget;
    if (answer.state === "placed" && networkMsP95 > rttLimitMs) faults.push("placed over its limit");
    const trust = { kind: "chain", ...world.trust, roles: ["scheduler"] } as const;
    const verified = await verifyToken(answer.placement, TOKEN_TYPES.placement, trust, world.clock.nowMs());
    const claims = parseClaims("placement", verified.claims);
    const before = life.last;
    if (before !== undefined && claims.session === before.claims.session) {
      const isSame = claims.attempt === before.claims.attempt && answer.placement === before.placement;
      if (!isSame && claims.attempt <= before.claims.attempt) faults.push("an attempt went back");
    }
    life.last = { claims, placement: answer.placement };
    for (const pool of world.pools.keys()) {
      const seconds = world.clock.nowMs() / 1000;
      const promised = lives.filter(({ last }) => last?.claims.pool === pool && last.claims.exp >= seconds);
      if (promised.length > SLOTS) faults.push(`${promised.length} promised of ${SLOTS} in ${pool}`);
    }
  };
  const act = async (life: Life): Promise<void> => {
    const { client } = life;
    const kind = random.integer(5);
    if (life.session === "" || kind === 0) {
      Object.assign(life, { ...(await client.create(service)), last: undefined });
    } else if (kind <= 2 || life.last === undefined) {
      const rtts = { near: random.integer(20), middle: random.integer(40), far: random.integer(80) };
      const results = await client.results(life.candidates, rtts);
      await check(life, await client.place(service, life.session, results));
    } else if (kind === 3) {
      const reason = REASONS[random.integer(REASONS.length)] ?? "promotion";
      await check(life, await client.renew(service, { session: life.session, placement: life.last.placement, reason }));
    } else {
      await client.end(service, life.session);
      Object.assign(life, { session: "", last: undefined });
    }
  };
  for (let step = 0; step < STEPS; step += 1) {
    const life = lives[random.integer(lives.length)];
    if (life === undefined) continue;
    await act(life).catch((error: unknown) => {
      if (!isFailure(error)) throw error;
    });
    if (random.integer(4) === 0) await world.clock.advance(random.integer(9_000));
    if (random.integer(6) === 0) world.setPool("near", {}, { state: random.integer(2) === 0 ? "dead" : "connected" });
    if (random.integer(6) === 0) world.setPool("middle", {}, { draining: random.integer(2) === 0 });
    await world.report(replica);
  }
  return { faults, placements };
}

t.test(
  "whatever happens, attempts only grow, no slot is promised twice and nothing placed is over its limit",
  async (t) => {
    let placements = 0;
    for (let seed = 1; seed <= 12; seed += 1) {
      const run = await simulate(seed);
      t.same(run.faults, [], `seed ${seed}`);
      placements += run.placements;
    }
    t.ok(placements > 50, `${placements} placements`);
  },
);
