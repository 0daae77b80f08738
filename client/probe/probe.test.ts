/** Probing where UDP is advertised: by connectivity checks where they pass, by requests where they do not. */
import { createServer } from "node:http";
import t, { type Test } from "tap";
import { closeServer, listen } from "#platform/http/listening.ts";
import { browserClock } from "../clock.ts";
import { PROBING_MS_MAX, probeEdges, SAMPLES, UDP_HEAD_START_MS } from "./probe.ts";
import type { UdpSampling } from "./udp-target.ts";

const UDP = { address: "127.0.0.1", port: 1, fragment: "f", password: "p" };

async function serveEdge(t: Test) {
  const edge = { requests: 0, url: "" };
  const server = createServer((_request, response) => {
    edge.requests += 1;
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ answer: "signed", udp: UDP }));
  });
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(server));
  edge.url = `http://127.0.0.1:${port}`;
  return edge;
}

function whenOver({ signal }: Pick<UdpSampling, "signal">): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** A clock whose head start for UDP is over when the test says so. */
function clockWith(headStart: Promise<void>) {
  const sleep = (ms: number, signal?: AbortSignal) =>
    ms === UDP_HEAD_START_MS ? headStart : browserClock.sleep(ms, signal);
  return { ...browserClock, sleep };
}

t.test("where the network lets no UDP pass, an edge is measured by requests, and UDP is given up", async (t) => {
  const edge = await serveEdge(t);
  let givenUp = 0;
  const byUdp = async (_target: object, sampling: UdpSampling) => {
    await whenOver(sampling);
    givenUp += 1;
    return [];
  };
  const target = { node: "n", pool: "p", url: edge.url, token: "t" };
  const clock = clockWith(Promise.resolve());
  const results = await probeEdges([target], { clock, withinMs: PROBING_MS_MAX, byUdp });
  t.match(results, [{ target: { url: edge.url }, result: { answer: "signed" } }]);
  t.equal(results[0]?.result.rttMs.length, SAMPLES);
  t.equal(givenUp, 1);
});

t.test("where UDP passes in time no request is made beside it", async (t) => {
  const edge = await serveEdge(t);
  const headStart = Promise.withResolvers<void>();
  const byUdp = async (_target: object, { onFirst }: UdpSampling) => {
    onFirst();
    headStart.resolve();
    await new Promise(setImmediate);
    return [7, 8, 9];
  };
  const target = { node: "n", pool: "p", url: edge.url, token: "t" };
  const clock = clockWith(headStart.promise);
  const results = await probeEdges([target], { clock, withinMs: PROBING_MS_MAX, byUdp });
  t.same(results[0]?.result, { answer: "signed", rttMs: [7, 8, 9] });
  t.equal(edge.requests, 1, "but the one that opened the connection");
});
