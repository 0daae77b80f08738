/** Two edges of a pool; the one that fetches for both is killed while it does: nobody's answer breaks, little is fetched twice. */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { seededRandom } from "#platform/random.ts";
import { api, document } from "#test/edge-origin/edge-and-origin.ts";
import { type Edge, kill, startEdge, startOrigin } from "#test/end-to-end/fleet.ts";
import { ask } from "#test/end-to-end/http-client.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { apply, operatorOf, untilApplied } from "./edge-words.ts";
import type { Fault, Finding, Trial } from "./fault.ts";

const POOL = "here";
const FRONT = { name: "front", host: "front.example" };
const LOCAL = { host: "127.0.0.1", port: 0 };
const BODY_BYTES = 8 * 1024 * 1024;
const PIECE_BYTES = 128 * 1024;
const PIECE_EVERY_MS = 25;
const WHOLE_OBJECTS = 10;
const WHOLE_BYTES = 50_000;
const KEYS_MAX = 40;
/** Of the body: what a sibling may have read ahead of what the user agent has. */
const TWICE_RATIO_MAX = 0.25;

const large = Buffer.from(seededRandom(1).bytes(BODY_BYTES));
const small = Buffer.from(seededRandom(2).bytes(WHOLE_BYTES));

interface SlowUpstream {
  readonly url: string;
  /** Bytes sent, and requests, by path. */
  readonly sent: ReadonlyMap<string, number>;
  readonly asked: ReadonlyMap<string, number>;
}

/** Large ones a piece at a time, from where they are asked for. */
async function startSlowUpstream({ t }: Trial): Promise<SlowUpstream> {
  const sent = new Map<string, number>();
  const asked = new Map<string, number>();
  const answer = async ({ url = "", headers }: IncomingMessage, response: ServerResponse): Promise<void> => {
    asked.set(url, (asked.get(url) ?? 0) + 1);
    const whole = url.startsWith("/large/") ? large : small;
    const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1] ?? 0);
    const fields = { "cache-control": "max-age=3600", etag: '"one"', "content-length": whole.length - from };
    const range = { "content-range": `bytes ${from}-${whole.length - 1}/${whole.length}` };
    response.writeHead(from === 0 ? 200 : 206, from === 0 ? fields : { ...fields, ...range });
    for (let at = from; at < whole.length && !response.destroyed; at += PIECE_BYTES) {
      const piece = whole.subarray(at, at + PIECE_BYTES);
      response.write(piece);
      sent.set(url, (sent.get(url) ?? 0) + piece.length);
      await systemClock.sleep(PIECE_EVERY_MS);
    }
    response.end();
  };
  const server = createServer((incoming, response) => void answer(incoming, response));
  const address = await listen(server, LOCAL);
  t.teardown(async () => {
    server.closeAllConnections();
    await closeServer(server);
  });
  return { url: `http://${formatAddress(address)}`, sent, asked };
}

interface Received {
  readonly isFromSibling: boolean;
  readonly isWhole: boolean;
}

/** Reads a large one; once a quarter is there, `onQuarter` is called where it comes by the sibling, else it is given up. */
function read({ content }: Edge, path: string, onQuarter: () => void): Promise<Received> {
  return new Promise((resolve, reject) => {
    const asking = request({ ...content, path, headers: { host: FRONT.host }, agent: false }, (response) => {
      const isFromSibling = (response.headers["cache-status"] ?? "").includes(",");
      const pieces: Buffer[] = [];
      let bytes = 0;
      let isTold = false;
      response.on("data", (piece: Buffer) => {
        pieces.push(piece);
        bytes += piece.length;
        if (isTold || bytes < BODY_BYTES / 4) return;
        isTold = true;
        if (isFromSibling) onQuarter();
        else asking.destroy();
      });
      response.once("close", () => resolve({ isFromSibling, isWhole: Buffer.concat(pieces).equals(large) }));
      response.once("error", () => undefined);
    });
    asking.once("error", reject).end();
  });
}

async function prepare(trial: Trial, upstream: SlowUpstream): Promise<readonly [Edge, Edge]> {
  const origin = await startOrigin(trial);
  await apply(origin, [
    document("NodePool", POOL, { region: POOL, coordinates: { latitude: 0, longitude: 0 } }),
    document("Site", FRONT.name, { hostnames: [FRONT.host], pull: { upstream: upstream.url } }),
  ]);
  const peer = { peer: { listen: formatAddress(LOCAL) } };
  const one = await startEdge(trial, origin, POOL, { settings: peer });
  const other = await startEdge(trial, origin, POOL, { name: `${POOL}-2`, settings: peer });
  const nodes = async (): Promise<number> => {
    const text = await api(operatorOf(origin), "GET", "/v1/resources/Node");
    const { items }: { items: readonly { spec: { peerAddress?: string } }[] } = JSON.parse(text);
    return items.filter(({ spec }) => spec.peerAddress !== undefined).length;
  };
  await untilSo("both have said where they listen", nodes, (count) => count === 2);
  for (const edge of [one, other]) await untilApplied(edge, origin);
  return [one, other];
}

async function run(trial: Trial): Promise<readonly Finding[]> {
  const upstream = await startSlowUpstream(trial);
  const [asker, relay] = await prepare(trial, upstream);
  const wholes = Array.from({ length: WHOLE_OBJECTS }, (_, index) => `/whole/${index}`);
  const getWhole = async (path: string): Promise<boolean> => {
    const { status, body } = await ask(asker.content, path, { headers: { host: FRONT.host } });
    return status === 200 && body.equals(small);
  };
  for (const path of wholes) await getWhole(path);
  let received: Received | undefined;
  let path = "";
  for (let key = 0; received?.isFromSibling !== true; key += 1) {
    if (key === KEYS_MAX) throw new Error(`${relay.name} is asked for none of ${KEYS_MAX} keys`);
    path = `/large/${key}`;
    received = await read(asker, path, () => void kill(relay)).catch(() => undefined);
  }
  const sentTwice = Math.max(0, (upstream.sent.get(path) ?? 0) - BODY_BYTES);
  const askedBefore = wholes.map((whole) => upstream.asked.get(whole) ?? 0);
  let missing = 0;
  for (const whole of wholes) if (!(await getWhole(whole))) missing += 1;
  const again = wholes.filter((whole, at) => (upstream.asked.get(whole) ?? 0) > (askedBefore[at] ?? 0)).length;
  return [
    { what: "answers broken", value: received.isWhole ? 0 : 1, unit: "count", bound: 0 },
    { what: "bytes fetched twice", value: sentTwice, unit: "count", bound: BODY_BYTES * TWICE_RATIO_MAX },
    { what: "finished objects lost", value: missing, unit: "count", bound: 0 },
    { what: "fetched again", value: again, unit: "count", bound: 0 },
  ];
}

export const relayKilled: Fault = {
  name: "relay-killed",
  what: "the edge of a pool that fetches for another is killed while it does",
  run,
};
