/** A real door that is cut off: it steers by the table in its set, and serves what it can. */
import t, { type Test } from "tap";
import { Value } from "typebox/value";
import { steerAnswerSchema } from "#contracts/operator-api/sessions.ts";
import { World } from "../sessions/door-world.test.ts";

const site = (hostname: string) => ({
  hostnames: [hostname],
  publish: { keepReleases: 5, indexDocument: "index.html" },
});
const edge = (node: string, pool: string) => ({
  ...{ node, pool, contentUrl: `http://${node}.edge.test:7420`, hostname: `${node}.edge.test` },
});

function openWorld(t: Test) {
  return World.open(t, {
    "Site/served": site("served.example"),
    "Site/absent": site("absent.example"),
    "SteeringTable/near": { pool: "near", edges: [edge("near-1", "near"), edge("far-1", "far")] },
  });
}

t.test("linked, an edge steers nobody", async (t) => {
  const world = await openWorld(t);
  t.equal((await world.ask("/", { host: "absent.example" })).status, 421);
  t.equal((await world.ask("/v1/steer?site=served", { host: "steer.example" })).status, 421);
  t.equal((await world.ask("/.perigee/v1/steer?site=served", { host: "served.example" })).status, 404);
});

t.test("cut off, it sends on what it cannot serve, path and query kept, and serves the rest", async (t) => {
  const world = await openWorld(t);
  world.isCutOff = true;
  const moved = await world.ask("/a/b?c=d", { host: "absent.example:7420" });
  t.same([moved.status, moved.headers["location"]], [302, "http://absent.far-1.edge.test:7420/a/b?c=d"]);
  t.equal(moved.headers["cache-control"], "no-store");
  t.equal((await world.ask("/", { host: "absent.example", method: "POST" })).status, 307);
  t.equal((await world.ask("/", { host: "served.example" })).status, 421, "left to who serves it");
  t.equal((await world.ask("/", { host: "absent.near-1.edge.test" })).status, 421, "who was sent here is not sent on");
});

t.test("cut off, it answers /v1/steer from its table, in the scheduler's words", async (t) => {
  const world = await openWorld(t);
  world.isCutOff = true;
  const { status, body } = await world.ask("/v1/steer?site=served", { host: "127.0.0.1" });
  const answer: { edges: { node: string; url: string }[] } = JSON.parse(body);
  t.equal(status, 200);
  t.ok(Value.Check(steerAnswerSchema, answer));
  t.same(
    answer.edges.map(({ node }) => node),
    ["near-1", "far-1"],
  );
  t.equal(answer.edges[0]?.url, "http://served.near-1.edge.test:7420");
  for (const host of ["127.0.0.1", "served.example", "absent.example", "served.near-1.edge.test"]) {
    const here = await world.ask("/.perigee/v1/steer?site=served", { host });
    t.same([here.status, here.body], [200, body], `asked by a page of ${host}`);
    t.equal(here.headers["access-control-allow-origin"], "*");
  }
  t.equal((await world.ask("/v1/steer?site=served", { host: "served.example" })).status, 421, "the site's own path");
  t.equal((await world.ask("/v1/steer?site=nothing", { host: "127.0.0.1" })).status, 404);
  t.equal((await world.ask("/v1/steer?site=%00", { host: "127.0.0.1" })).status, 404);
});
