import { createServer } from "node:http";
import t from "tap";
import { closeServer, listen } from "#platform/http/listening.ts";
import { createLogger } from "#platform/logging.ts";
import { seededRandom } from "#platform/random.ts";
import { openRaw } from "#test/front/raw-connection.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { startStandalone } from "../standalone-proxy.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const BODY_BYTES = 30_000;

t.test("hits of both lanes, content and evictions are counted when they are asked for", async (t) => {
  const upstream = createServer((_request, response) => {
    response.writeHead(200, { "cache-control": "max-age=60" }).end(Buffer.alloc(BODY_BYTES));
  });
  const { port } = await listen(upstream, LOCAL);
  t.teardown(() => closeServer(upstream));
  const edge = await startStandalone({
    listen: LOCAL,
    admin: LOCAL,
    upstream: new URL(`http://127.0.0.1:${port}`),
    memoryBytesMax: 3 * BODY_BYTES,
    random: seededRandom(1),
    clock: new VirtualClock(),
    logger: createLogger({ program: "edge", level: "silent" }),
  });
  t.teardown(() => edge[Symbol.asyncDispose]());
  using connection = await openRaw(edge.address.port);
  const ask = async (target: string, ...lines: readonly string[]) => {
    connection.write([`GET ${target} HTTP/1.1`, "Host: edge", ...lines, "", ""].join("\r\n"));
    return (await connection.answer()).toString("latin1");
  };
  await ask("/a");
  for (let turn = 0; turn < 3; turn += 1) t.match(await ask("/a"), /cache-status: Perigee; hit/);
  t.match(await ask("/a", "Range: bytes=0-9"), /^HTTP\/1\.1 206 /);
  for (const target of ["/b", "/c", "/d"]) await ask(target);
  const metrics = await (await fetch(`http://127.0.0.1:${edge.admin?.port}/metrics`)).text();
  const value = (name: string) =>
    Number(
      metrics
        .split("\n")
        .find((line) => line.startsWith(`perigee_edge_node_${name} `))
        ?.split(" ")[1],
    );
  t.equal(value('hits_total{tier="memory"}'), 4, "three of the fast lane, one of the full lane");
  t.equal(value('requests_total{outcome="hit",status="200"}'), 3);
  t.equal(value('requests_total{outcome="hit",status="206"}'), 1);
  t.equal(value("sent_bytes_total"), 7 * BODY_BYTES + 10);
  t.ok(value('store_evicted_total{reason="memory-full"}') >= 2, "four responses where two have room");
});
