/** Has every request answered on both lanes of a stand-alone edge, and says where the bytes differ. */
import { createServer } from "node:http";
import { startStandalone } from "#edge-node/standalone-proxy.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { createLogger } from "#platform/logging.ts";
import { seededRandom } from "#platform/random.ts";
import { openRaw, type RawConnection } from "#test/front/raw-connection.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
export const NOW_MS = Date.UTC(2026, 10, 24, 8, 49, 37);
/** Between what fills the cache and what is compared; no whole number of seconds, for Age and ttl are. */
const LATER_MS = 5_400;

export interface Said {
  readonly status: number;
  /** Names and values in turn. */
  readonly fields: readonly string[];
  readonly body: string;
}

/** A stored response, and the field lines of each request for it. */
export interface LaneCase {
  readonly path: string;
  readonly said: Said;
  readonly asked: readonly (readonly string[])[];
}

export interface Compared {
  /** Hits of the full lane, and as many answers that were to be the same. */
  readonly hits: number;
  readonly answeredFast: number;
  readonly differences: readonly string[];
}

export async function compareLanes(cases: readonly LaneCase[]): Promise<Compared> {
  await using stack = new AsyncDisposableStack();
  const { port, clock, timed } = await startEdge(cases, stack);
  const fast = stack.use(await openRaw(port));
  const full = stack.use(await openRaw(port));
  // An empty line before a request is nothing that the fast lane knows: the connection is node:http's from here on.
  full.write("\r\n");
  for (const { path, asked } of cases)
    for (const lines of asked) await answerOf(full, "GET", headOf("GET", path, lines));
  await clock.advance(LATER_MS);
  const before = await timed();
  const differences: string[] = [];
  let hits = 0;
  let all = 0;
  for (const { path, asked } of cases) {
    for (const [method, lines] of asked.flatMap((some) => [["GET", some] as const, ["HEAD", some] as const])) {
      const request = headOf(method, path, lines);
      const wanted = await answerOf(full, method, request);
      const got = await answerOf(fast, method, request);
      all += 1;
      if (!/\r\ncache-status: [^\r]*Perigee; hit; ttl=\d/.test(wanted)) continue;
      hits += 1;
      if (got !== wanted)
        differences.push(`${JSON.stringify(request)}: ${JSON.stringify({ full: wanted, fast: got })}`);
    }
  }
  return { hits, answeredFast: 2 * all - ((await timed()) - before), differences };
}

async function answerOf(connection: RawConnection, method: string, request: string): Promise<string> {
  connection.write(request);
  return (await connection.answer({ isHead: method === "HEAD" })).toString("latin1");
}

function headOf(method: string, path: string, lines: readonly string[]): string {
  return [`${method} ${path} HTTP/1.1`, "Host: localhost", ...lines, "", ""].join("\r\n");
}

async function startEdge(cases: readonly LaneCase[], stack: AsyncDisposableStack) {
  const said = new Map(cases.map((one) => [one.path, one.said]));
  const upstream = createServer((request, response) => {
    const { status, fields, body } = said.get(request.url ?? "") ?? { status: 404, fields: [], body: "" };
    response.sendDate = false;
    response.writeHead(status, [...fields]).end(body);
  });
  const { port } = await listen(upstream, LOCAL);
  stack.defer(() => closeServer(upstream));
  const clock = new VirtualClock(NOW_MS);
  const edge = stack.use(
    await startStandalone({
      listen: LOCAL,
      admin: LOCAL,
      upstream: new URL(`http://127.0.0.1:${port}`),
      memoryBytesMax: 1e8,
      random: seededRandom(1),
      clock,
      logger: createLogger({ program: "edge", level: "silent" }),
    }),
  );
  /** Requests that the full lane has answered: only they are timed. */
  const timed = async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${edge.admin?.port}/metrics`)).text();
    return Number(/_request_seconds_count (\d+)/.exec(metrics)?.[1] ?? 0);
  };
  return { port: edge.address.port, clock, timed };
}
