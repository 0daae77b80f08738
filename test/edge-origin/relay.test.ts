import t, { type Test } from "tap";
import { Failure } from "#domain/failure.ts";
import { LOOKED_MS, POOL, type RelayEdge, RelayWorld } from "./relay-world.ts";

const NAMES = ["near-1", "near-2", "near-3"];

/** Three edges, two of which hear the origin by the third. */
async function relayed(t: Test) {
  const world = new RelayWorld(t);
  const edges = world.add(...NAMES);
  await world.clock.advance(LOOKED_MS);
  const [relay, ...others] = world.relays;
  if (relay === undefined || others.length > 0) throw new Error(`${world.relays.length} relays, one is expected`);
  const siblings = edges.filter((edge) => edge !== relay);
  return { world, edges, relay, siblings };
}

const isCurrent = (world: RelayWorld) => (edge: RelayEdge) => edge.revision === world.log.revision();
t.test(
  "edges that were linked directly come to hear the origin by one of them, and are never down for it",
  async (t) => {
    const { world, edges, relay, siblings } = await relayed(t);
    t.same([...world.direct], [relay.peer.name], "one stream for the pool");
    t.same(
      siblings.map(({ by }) => by),
      [relay.peer.name, relay.peer.name],
    );
    world.change("one");
    await world.clock.advance(1000);
    t.ok(edges.every(isCurrent(world)), "a change is everywhere");
    t.same(
      edges.map(({ downs, isUp }) => [downs, isUp]),
      [
        [0, true],
        [0, true],
        [0, true],
      ],
    );
    await world.clock.advance(60_000);
    for (const { peer, revision } of edges) {
      const { linkUp, status } = world.observed.find(peer.name) ?? {};
      t.same([linkUp, status?.appliedRevision], [true, revision], `${peer.name} as the origin sees it`);
    }
    t.notOk(
      world.told.some((what) => what.startsWith("twice")),
      "nobody is taken for another process",
    );
  },
);

t.test(
  "a relay that is killed costs its siblings some seconds, and no change is lost, repeated or out of order",
  async (t) => {
    const { world, relay, siblings } = await relayed(t);
    world.change("before");
    await world.clock.advance(500);
    relay.kill();
    world.change("while");
    await world.clock.advance(10_000);
    t.ok(siblings.every(isCurrent(world)), "what changed meanwhile is there");
    t.ok(siblings.every(({ isUp }) => isUp));
    t.same(
      siblings.map(({ peer }) => world.observed.find(peer.name)?.linkUp),
      [true, true],
    );
    const [next] = world.relays;
    t.same([...world.direct], [next?.peer.name], "one of them relays for the other");
    world.change("after");
    await world.clock.advance(1000);
    for (const { applied, peer } of siblings) {
      t.ok(isCurrent(world)(siblings.find((edge) => edge.peer === peer) ?? relay), `${peer.name} goes on`);
      t.same(
        applied,
        [...new Set(applied)].toSorted((a, b) => a - b),
        `${peer.name} applied each once, in order`,
      );
    }
  },
);

t.test("a relay that falls silent is given up as an origin is, and another way taken at once", async (t) => {
  const { world, relay, siblings } = await relayed(t);
  relay.isSilent = true;
  world.change("while");
  await world.clock.advance(16_000);
  t.ok(siblings.every(isCurrent(world)), "what changed meanwhile is there");
  t.ok(siblings.every(({ by }) => by !== relay.peer.name));
  t.same(
    siblings.map(({ downs }) => downs),
    [1, 1],
  );
});

t.test("a relay whose own link ends lets its siblings go, and has them again when it is back", async (t) => {
  const { world, edges } = await relayed(t);
  world.isOriginReached = false;
  world.originDown.abort(new Failure("unavailable", "the origin has ended", { retryable: true }));
  await world.clock.advance(10_000);
  t.same(
    edges.map(({ isUp }) => isUp),
    [false, false, false],
    "the origin is heard by nobody",
  );
  world.originDown = new AbortController();
  world.isOriginReached = true;
  world.change("after");
  await world.clock.advance(100_000);
  t.ok(edges.every(isCurrent(world)));
  t.equal(world.direct.size, 1, "one stream for the pool again");
});

t.test("a sibling that is ahead of the relay goes to the origin, and comes back later", async (t) => {
  const { world, relay, siblings } = await relayed(t);
  const [ahead] = siblings;
  if (ahead === undefined) throw new Error("two siblings");
  ahead.kill();
  world.unsent.add(relay.peer.name);
  world.change("one");
  using _caughtUp = world.distribution.subscribe(POOL, ahead.set.watermark, {
    push: (envelope) => void ahead.set.apply(envelope),
  });
  const again = world.start(ahead.peer.name, ahead.set);
  await world.clock.advance(6000);
  t.equal(again.by, undefined, "it is linked directly");
  t.ok(again.isUp);
  t.same([...world.direct].toSorted(), [again.peer.name, relay.peer.name].toSorted());
  world.unsent.clear();
  world.change("two");
  await world.clock.advance(3 * LOOKED_MS);
  t.same([...world.direct].length, 1, "one stream for the pool again");
  t.ok([relay, again].every(isCurrent(world)), "the relay has by a snapshot what it had missed");
});

t.test("what a relay has altered is refused, and the origin itself heard instead", async (t) => {
  const { world, relay, siblings } = await relayed(t);
  relay.forge = ({ payload, signature, keyId }) => {
    const altered = Uint8Array.from(payload);
    altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1;
    return { payload: altered, signature, keyId };
  };
  world.change("one");
  await world.clock.advance(1000);
  for (const sibling of siblings) {
    t.same(sibling.refused, ["signature-invalid"], sibling.peer.name);
    t.equal(sibling.by, undefined, "linked directly");
    t.equal(sibling.downs, 0, "without having been down");
    t.ok(isCurrent(world)(sibling), "and has what changed");
  }
});

t.test(
  "reports that go up by a relay are recorded once, also where it dies before they are acknowledged",
  async (t) => {
    const { world, relay, siblings } = await relayed(t);
    for (const { reports, peer } of siblings)
      for (const id of ["a", "b"]) void reports.push({ id: `${peer.name}-${id}`, kind: "session-ended", value: {} });
    await world.clock.advance(1000);
    const expected = (ids: readonly string[]) =>
      siblings.flatMap(({ peer }) => ids.map((id) => `${peer.name} ${peer.name}-${id}`));
    t.same(world.recorded(), expected(["a", "b"]));
    t.same(
      siblings.map(({ reports }) => reports.size),
      [0, 0],
      "and are acknowledged",
    );
    // The origin has them, and its acknowledgement gets nowhere.
    relay.relay.takeForSibling = () => undefined;
    for (const { reports, peer } of siblings)
      void reports.push({ id: `${peer.name}-c`, kind: "session-ended", value: {} });
    await world.clock.advance(1000);
    t.same(world.recorded(), expected(["a", "b", "c"]));
    t.same(
      siblings.map(({ reports }) => reports.size),
      [1, 1],
      "nothing is forgotten that was not acknowledged",
    );
    relay.kill();
    await world.clock.advance(10_000);
    t.same(world.recorded(), expected(["a", "b", "c"]), "sent again, kept once");
    t.same(
      siblings.map(({ reports }) => reports.size),
      [0, 0],
    );
  },
);

t.test("a relay that is revoked speaks for nobody; a sibling that is revoked is let go", async (t) => {
  const { world, relay, siblings } = await relayed(t);
  const [first, second] = siblings;
  if (first === undefined || second === undefined) throw new Error("two siblings");
  const revoke = (name: string) => {
    const spec = {
      subject: { kind: "node", name },
      reason: "stolen",
      subjectExpiresAtMs: world.clock.nowMs() + 1e9,
    } as const;
    world.write({ kind: "Revocation", metadata: { name: `no-${name}`, labels: {} }, spec });
  };
  revoke(first.peer.name);
  await world.clock.advance(1000);
  t.equal(world.observed.find(first.peer.name)?.linkUp, false);
  t.ok(second.isUp, "the other is linked on");
  t.equal(relay.relay.size, 1);
  revoke(relay.peer.name);
  await world.clock.advance(10_000);
  t.same([...world.direct], [second.peer.name]);
  t.ok(second.isUp);
});
