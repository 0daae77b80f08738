import { buffer } from "node:stream/consumers";
import t from "tap";
import { Failure } from "#domain/failure.ts";
import { type Fields, fieldValue } from "#domain/http/fields.ts";
import { seededRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import type { UpstreamRequest, UpstreamResponse } from "../upstream/upstream-client.ts";
import type { Peer, TierView } from "./membership.ts";
import { PeerHealth } from "./peer-health.ts";
import { formatDecline, parseTierRequest, TIER_FIELD } from "./tier-fields.ts";
import { planTiers } from "./tier-plan.ts";
import { type TierOutcome, TierRequests } from "./tier-requests.ts";
import { TieredUpstream } from "./tiered-upstream.ts";

const START_MS = 1_700_000_000_000;
const peer = (name: string, pool: string): Peer => ({ name, pool, address: `${name}.test:7423` });
const view: TierView = {
  ...{ self: "near-0", isMember: false, childPools: new Set() },
  siblings: [peer("near-1", "near"), peer("near-2", "near")],
  parents: [peer("core-1", "core")],
};

interface Answered {
  readonly status?: number;
  readonly fields?: readonly (readonly [string, string])[];
  readonly body?: AsyncIterable<Uint8Array>;
}

async function* chunksOf(...parts: readonly (string | Failure)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    if (typeof part !== "string") throw part;
    yield Buffer.from(part);
  }
}

const responseOf = ({ status = 200, fields = [], body = chunksOf("body") }: Answered = {}): UpstreamResponse => ({
  ...{ status, body, discard: () => undefined, requestedAtMs: START_MS, receivedAtMs: START_MS },
  fields: new Map(fields.map(([name, value]) => [name, [value]])),
});
/** Says nothing until the time is over. */
const silent = new Failure("upstream-timeout", "nothing", { retryable: true });
const dead = new Failure("unavailable", "connection refused", { retryable: true });
const broken = new Failure("upstream-truncated", "cut off", { retryable: true });

/** A node of a pool whose peers are functions of the request; the log has who was asked, in order. */
function nodeWith(peers: Readonly<Record<string, () => UpstreamResponse | Failure>>, upstream = responseOf) {
  const clock = new VirtualClock(START_MS);
  const log: string[] = [];
  const seen: { to: string; fields: Fields }[] = [];
  const outcomes: TierOutcome[] = [];
  const answer = (to: string, request: UpstreamRequest, given: UpstreamResponse | Failure): UpstreamResponse => {
    log.push(to);
    seen.push({ to, fields: request.fields });
    if (given instanceof Failure) throw given;
    return given;
  };
  const requests = new TierRequests({
    view: () => view,
    async call({ name }, request, headMsMax) {
      const given = (peers[name] ?? responseOf)();
      if (given === silent) await clock.advance(headMsMax);
      return answer(name, request, given);
    },
    ...{ clock, health: new PeerHealth(clock, seededRandom(1)) },
    applied: () => ({ epoch: 1, revision: 9 }),
    events: { asked: (_, outcome) => void outcomes.push(outcome) },
  });
  const bytesFrom = { upstreamBytes: 0, peerBytes: 0 };
  const tiered = new TieredUpstream({
    ...{ site: "shop", requests, headMsMax: 1000 },
    isBypassed: (target) => target.startsWith("/private/"),
    onBytes(from, bytes) {
      bytesFrom[from] += bytes;
    },
    upstream: {
      fetch: async (request) => answer("upstream", request, upstream()),
      ...{ isSuspect: () => false, takeProbe: () => false, suspect: () => undefined },
    },
  });
  const fetch = (more: Partial<UpstreamRequest> = {}) => {
    const fields = new Map([
      ["x-forwarded-proto", ["https"]],
      ["x-forwarded-host", ["shop.example"]],
      ...(more.fields ?? []),
    ]);
    return tiered.fetch({ method: "GET", target: "/a", ...more, fields });
  };
  return { clock, log, seen, outcomes, bytesFrom, fetch };
}
const [home = "", second = ""] = planTiers("shop /a", { view, askedBy: "user-agent", loadOf: () => 0 }).map(
  (candidate) => candidate.peer.name,
);
const textOf = async ({ body }: UpstreamResponse) => (await buffer(body)).toString();

t.test("the home is asked first, and told site, URL and purges", async (t) => {
  const { log, seen, fetch, outcomes } = nodeWith({});
  t.equal(await textOf(await fetch()), "body");
  t.same(log, [home]);
  t.same(outcomes, ["answered"]);
  const fields = seen[0]?.fields ?? new Map();
  t.same(parseTierRequest(fields), {
    ...{ site: "shop", scheme: "https", host: "shop.example" },
    applied: { epoch: 1, revision: 9 },
  });
});

t.test("whoever is dead, silent, behind or broken is passed by: next sibling, parent, upstream", async (t) => {
  const declined = () => responseOf({ status: 409, fields: [[TIER_FIELD, formatDecline("behind")]] });
  const failing = () => responseOf({ status: 502, fields: [["proxy-status", "Perigee; error=connection_refused"]] });
  const steps: Readonly<Record<string, () => UpstreamResponse | Failure>> = {};
  for (const [at, [name, fault]] of (
    [
      [home, () => dead],
      [second, declined],
      ["core-1", failing],
    ] as const
  ).entries()) {
    Object.assign(steps, { [name]: fault });
    const { log, fetch } = nodeWith(steps);
    t.equal((await fetch()).status, 200);
    t.same(log, [home, second, "core-1", "upstream"].slice(0, at + 2));
  }
});

t.test("all peers together have the time that the site gives its upstream, which is asked after it", async (t) => {
  const { log, clock, fetch } = nodeWith({ [home]: () => silent });
  const beganMs = clock.monotonicMs();
  t.equal((await fetch()).status, 200);
  t.same(log, [home, "upstream"]);
  t.equal(clock.monotonicMs() - beganMs, 1000);
});

t.test("an error of the upstream that a peer passes on is the answer, and so is a loop", async (t) => {
  for (const [status, fields] of [
    [500, []],
    [502, [["proxy-status", "ThatCDN; error=dns_error"]]],
    [502, [["proxy-status", "Perigee; error=dns_error, ThatCDN; received-status=502"]]],
    [508, [["proxy-status", "Perigee; error=proxy_loop_detected"]]],
    [404, []],
  ] as const) {
    const { log, fetch } = nodeWith({ [home]: () => responseOf({ status, fields }) });
    t.equal((await fetch()).status, status);
    t.same(log, [home], `${status}`);
  }
});

t.test("a dead peer is asked once, then not for a while, then by one request that tries it", async (t) => {
  const { clock, log, fetch } = nodeWith({ [home]: () => dead });
  await Promise.all([fetch(), fetch(), fetch()]);
  log.length = 0;
  await fetch();
  t.notOk(log.includes(home), "passed by");
  await clock.advance(1000);
  await Promise.all([fetch(), fetch(), fetch()]);
  t.equal(log.filter((name) => name === home).length, 1, "one tries it");
});

t.test("a peer that was behind is asked again soon", async (t) => {
  let isBehind = true;
  const behind = () => responseOf({ status: 409, fields: [[TIER_FIELD, formatDecline("behind")]] });
  const { clock, log, fetch } = nodeWith({ [home]: () => (isBehind ? behind() : responseOf()) });
  await fetch();
  isBehind = false;
  await clock.advance(500);
  log.length = 0;
  await fetch();
  t.same(log, [home]);
});

t.test("what may not be asked twice, or is nobody else's, goes to the upstream alone", async (t) => {
  for (const request of [
    { method: "POST" },
    { method: "HEAD" },
    { target: "/private/a" },
    { fields: new Map([["authorization", ["Basic eA=="]]]) },
    { fields: new Map([["cache-control", ["no-store"]]]) },
  ]) {
    const { log, fetch } = nodeWith({});
    await fetch(request);
    t.same(log, ["upstream"], JSON.stringify(request));
  }
});

t.test("a request of another edge goes to no sibling, whoever it says it is from", async (t) => {
  for (const askedBy of ["sibling", "child"] as const) {
    const { log, fetch } = nodeWith({});
    await fetch({ askedBy });
    t.same(log, ["core-1"], askedBy);
  }
  const { log, seen, fetch } = nodeWith({ "core-1": () => dead });
  await fetch({ askedBy: "sibling", fields: new Map([[TIER_FIELD, ["site=x"]]]) });
  t.same(log, ["core-1", "upstream"]);
  t.notOk(seen[1]?.fields.has(TIER_FIELD), "the upstream hears nothing of tiers");
});

t.test("a kept response counts as asked for when the peer asked, or earlier", async (t) => {
  const aged = (age: string) => nodeWith({ [home]: () => responseOf({ fields: [["age", age]] }) }).fetch();
  t.equal((await aged("0")).askedAtMs, START_MS - 1000);
  t.equal((await aged("59")).askedAtMs, START_MS - 60_000);
  t.equal((await aged("soon")).askedAtMs, START_MS - 1000);
  t.equal(
    (await nodeWith({ [home]: () => dead, [second]: () => dead, "core-1": () => dead }).fetch()).askedAtMs,
    undefined,
  );
});

t.test("a body that breaks off at a peer goes on at the upstream from the same byte", async (t) => {
  const etag = '"v1"';
  const start = () =>
    responseOf({
      fields: [
        ["etag", etag],
        ["content-length", "10"],
      ],
      body: chunksOf("0123", "45", broken),
    });
  const rest =
    (range: string, tag = etag) =>
    () =>
      responseOf({
        status: 206,
        fields: [
          ["etag", tag],
          ["content-range", range],
        ],
        body: chunksOf("6789"),
      });
  const { log, seen, bytesFrom, fetch } = nodeWith({ [home]: start }, rest("bytes 6-9/10"));
  t.equal(await textOf(await fetch()), "0123456789");
  t.same(bytesFrom, { peerBytes: 6, upstreamBytes: 4 });
  t.same(log, [home, "upstream"]);
  t.equal(fieldValue(seen[1]?.fields ?? new Map(), "range"), "bytes=6-");
  t.equal(fieldValue(seen[1]?.fields ?? new Map(), "if-range"), etag);
  for (const [what, upstream] of [
    ["another representation", rest("bytes 6-9/10", '"v2"')],
    ["another part", rest("bytes 5-9/10")],
    ["the whole", () => responseOf({ fields: [["etag", etag]], body: chunksOf("0123456789") })],
  ] as const) {
    const other = nodeWith({ [home]: start }, upstream);
    await t.rejects(other.fetch().then(textOf), { code: "upstream-truncated" }, what);
  }
  const weak = () => responseOf({ fields: [["etag", 'W/"v1"']], body: chunksOf("0123", broken) });
  await t.rejects(
    nodeWith({ [home]: weak })
      .fetch()
      .then(textOf),
    { code: "upstream-truncated" },
    "no strong validator",
  );
});
