import t from "tap";
import type { AgentStatus } from "#domain/fleet/node.ts";
import { Client, placedIn, start, type start as startWorld } from "./session-world.test.ts";

const GROUPS = ["prefix:192.0.2.0/24"];
/** What is true of the group: only `middle` is within the limit of 14 ms. */
const TRUTH = { near: 40, middle: 10, far: 60 };

type Started = Awaited<ReturnType<typeof startWorld>>;

function running(session: string, rttMs: number, attempt = 1): AgentStatus[] {
  const status = { app: "hall", renderClass: "small", startedAtMs: 0, remotePathMsP50: 0, remotePathMsP95: 0 };
  const agent = { agent: "a", incarnation: "1", ready: true, reasons: [], slots: [] };
  return [{ ...agent, sessions: [{ session, attempt, rttMs, ...status }] }];
}

/** Fresh probes, as a renewal brings them. */
async function probesSaying({ service }: Started, client: Client, rtts: Record<string, number>) {
  const { candidates } = await client.create(service);
  return client.results(candidates, rtts);
}

/** A liar wants `near`, and is placed there by what it says of it. */
async function placeLiar(started: Started) {
  const { world, service } = started;
  const client = await Client.create(world);
  const { session, candidates } = await client.create(service);
  const said = await client.results(candidates, { near: 2, middle: 60, far: 60 });
  const { placement, pool } = placedIn(await client.place(service, session, said));
  return { client, session, placement, pool };
}

t.test("a client that lies of its probes gains nothing once its session is heard of", async (t) => {
  const started = await start(t, TRUTH);
  const { service, client, session, results, rttMap, probeTrust } = started;
  const honest = placedIn(await client.place(service, session, results));
  t.equal(honest.pool, "middle");
  const liar = await placeLiar(started);
  t.equal(liar.pool, "near", "until then its word counts");
  t.equal(rttMap.find(GROUPS, "near", 0)?.rttMsP50, 2, "and has moved its group's history");
  service.observe({ pool: "near", agents: running(liar.session, 41) });
  t.equal(rttMap.find(GROUPS, "near", 0)?.rttMsP50, 40, "the history is right again");
  t.equal(probeTrust.ratioOf("prefix:192.0.2.0/24"), 0.5);
  service.observe({ pool: "middle", agents: running(session, 10) });
  const kept = await client.renew(service, { session, placement: honest.placement, reason: "promotion" });
  t.equal(kept, undefined, "the honest one stays where it is");
  const again = async () => {
    const lies = await probesSaying(started, liar.client, { near: 1, middle: 10, far: 1 });
    return liar.client.renew(service, { ...liar, reason: "promotion" }, lies);
  };
  t.match(await again(), { state: "queued" }, "beyond its limit, seen once");
  await started.world.clock.advance(1_500);
  const moved = placedIn(await again());
  t.equal(moved.pool, "middle", "where the honest one is: neither the same lie nor a new one is believed");
});

t.test("an honest client stays believed, and its session counts in its group's history", async (t) => {
  const started = await start(t, TRUTH);
  const { service, client, session, results, rttMap, probeTrust } = started;
  const { placement } = placedIn(await client.place(service, session, results));
  service.observe({ pool: "middle", agents: running(session, 12) });
  t.equal(probeTrust.ratioOf("prefix:192.0.2.0/24"), 1);
  t.equal(rttMap.find(GROUPS, "middle", 0)?.rttMsP50, 12, "a session outweighs three probes");
  const again = async () => {
    const better = await probesSaying(started, client, { near: 4, middle: 1 });
    return client.renew(service, { session, placement, reason: "promotion" }, better);
  };
  for (let held = 0; held < 2; held += 1) {
    t.equal(await again(), undefined, "not better for long enough yet");
    await started.world.clock.advance(20_000);
    await started.world.report(started);
  }
  const moved = placedIn(await again());
  t.equal(moved.pool, "near", "of where it runs its connection is believed, elsewhere its probe");
});

t.test("one lie is judged once, one session counts once a minute, and only its newest placement", async (t) => {
  const started = await start(t, TRUTH);
  const { world, service, rttMap, probeTrust } = started;
  const { session } = await placeLiar(started);
  const samples = () => rttMap.find(GROUPS, "near", world.clock.nowMs())?.sampleCount;
  t.equal(samples(), 3);
  service.observe({ pool: "near", agents: running(session, 0) });
  service.observe({ pool: "near", agents: running(session, 40, 2) });
  service.observe({ pool: "near", agents: running("s-unknown", 40) });
  t.equal(samples(), 3, "unknown yet, of another placement, of another session");
  for (const rttMs of [40, 41, 42]) service.observe({ pool: "near", agents: running(session, rttMs) });
  t.equal(samples(), 4);
  t.equal(probeTrust.ratioOf("prefix:192.0.2.0/24"), 0.5);
  await world.clock.advance(60_000);
  service.observe({ pool: "near", agents: running(session, 40) });
  t.equal(samples(), 5);
  t.equal(probeTrust.ratioOf("prefix:192.0.2.0/24"), 0.5);
});

t.test("what is reported while a session is renewed is judged once, and stays", async (t) => {
  const { world, replica, client, session, results, probeTrust } = await start(t, TRUTH);
  const { placement } = placedIn(await client.place(replica.service, session, results));
  const ask = replica.ledger.capacities.bind(replica.ledger);
  let isFirst = true;
  replica.ledger.capacities = async (queries) => {
    if (isFirst) replica.service.observe({ pool: "middle", agents: running(session, 40) });
    isFirst = false;
    return ask(queries);
  };
  await client.renew(replica.service, { session, placement, reason: "promotion" });
  t.equal(probeTrust.ratioOf("prefix:192.0.2.0/24"), 0.5);
  replica.service.observe({ pool: "middle", agents: running(session, 40) });
  t.equal(probeTrust.ratioOf("prefix:192.0.2.0/24"), 0.5, "not for a second time");
  t.equal(replica.rttMap.find(GROUPS, "middle", world.clock.nowMs())?.sampleCount, 4);
});

t.test("a replica that did not move the session hears of it where it is now", async (t) => {
  const started = await start(t, TRUTH);
  const { world, replica, client, session, results } = started;
  const other = await world.replica("s2", replica.ledger);
  const first = placedIn(await client.place(replica.service, session, results));
  await client.renew(other.service, { session, placement: first.placement, reason: "promotion" });
  for (const rttMs of [10, 80]) {
    for (const { service } of [replica, other]) service.observe({ pool: "middle", agents: running(session, rttMs) });
  }
  const away = async () => {
    const shown = { session, placement: first.placement, reason: "promotion" } as const;
    return client.renew(replica.service, shown, await probesSaying(started, client, { near: 4, middle: 80 }));
  };
  t.match(await away(), { state: "queued" });
  await world.clock.advance(1_500);
  const moved = placedIn(await away());
  t.equal(moved.pool, "near");
  await client.renew(other.service, { session, placement: moved.placement, reason: "promotion" });
  other.service.observe({ pool: "near", agents: running(session, 6, 2) });
  t.equal(other.rttMap.find(GROUPS, "near", world.clock.nowMs())?.sampleCount, 1, "of its newest placement");
});
