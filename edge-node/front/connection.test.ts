import type { IncomingMessage, ServerResponse } from "node:http";
import t, { type Test } from "tap";
import { openRaw } from "#test/front/raw-connection.ts";
import { until } from "#test/simulation/until.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import { CONNECTIONS_OF_CLIENT_MAX } from "./client-connections.ts";
import { CONNECTION_IDLE_MS_MAX, REQUEST_HEAD_MS_MAX } from "./connection.ts";
import type { LaneRequest } from "./fast-lane.ts";
import { Front, startFrontListener } from "./front.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };

const NOTHING_NAMED = { alwaysValidate: false, neverStale: false, hasSharedLifetime: false };
const FRESHNESS = { receivedAtMs: 0, initialAgeSeconds: 0, lifetimeSeconds: 60, ...NOTHING_NAMED };

function storedOf(key: string, body: Uint8Array): StoredResponse {
  const names = { site: "s", webOrigin: "http://edge", key, varyNames: [], variant: "" };
  const freshness = { ...FRESHNESS, staleWhileRevalidateSeconds: 0, staleIfErrorSeconds: 0 };
  return { ...names, status: 200, fields: new Map([["x-lane", ["fast"]]]), freshness, requestedAtMs: 0, body };
}

interface FrontWorld {
  readonly clock: VirtualClock;
  readonly front: Front;
  readonly port: number;
  readonly seen: string[];
  readonly open: () => ReturnType<typeof openRaw>;
}

/** What begins with /fast is a hit of the fast lane: of as many bytes as /fast/N says. The rest is `handle`'s. */
async function startFront(
  t: Test,
  handle: (incoming: IncomingMessage, response: ServerResponse) => void = (incoming, response) => {
    response.end(`full ${incoming.method} ${incoming.url}`);
  },
): Promise<FrontWorld> {
  const clock = new VirtualClock();
  const seen: string[] = [];
  const find = ({ target, isHead }: LaneRequest) => {
    const bytes = /^\/fast\/(\d+)/.exec(target)?.[1];
    if (bytes === undefined) return undefined;
    const body = Buffer.alloc(Number(bytes), "x");
    return {
      stored: storedOf(target, body),
      body,
      kind: isHead ? ("head" as const) : ("whole" as const),
      ageSeconds: 1,
      ttlSeconds: 2,
    };
  };
  const note = (word: string) => (more: unknown) => void seen.push(`${word} ${more}`);
  const front = new Front({
    clock,
    finder: { find },
    events: {
      broke: note("broke"),
      connectionRefused: note("refused"),
      hit: note("hit"),
      malformed: note("malformed"),
      sent: () => {},
      served: (_request, outcome) => void seen.push(outcome),
    },
    handle: async (incoming, response) => {
      handle(incoming, response);
      return undefined;
    },
  });
  t.teardown(() => front[Symbol.asyncDispose]());
  const { address, ...listening } = await startFrontListener(LOCAL, front);
  t.teardown(() => listening[Symbol.dispose]());
  return { clock, front, port: address.port, seen, open: () => openRaw(address.port) };
}

const ask = (target: string, ...fields: readonly string[]) =>
  [`GET ${target} HTTP/1.1`, "Host: edge", ...fields, "", ""].join("\r\n");

function laneOf(answer: Buffer): string {
  return answer.includes("x-lane: fast") ? "fast" : "full";
}

t.test("a connection goes to the full lane for what the fast lane does not answer, and comes back", async (t) => {
  const { open, seen } = await startFront(t);
  using connection = await open();
  for (const target of ["/fast/1", "/a", "/fast/2", "/b", "/c", "/fast/3"]) {
    connection.write(ask(target));
    t.equal(laneOf(await connection.answer()), target.startsWith("/fast") ? "fast" : "full", target);
  }
  t.equal(seen.filter((word) => word === "hit 200").length, 3);
  connection.write(`POST /p HTTP/1.1\r\nHost: edge\r\nContent-Length: 2\r\n\r\nhi${ask("/fast/1")}`);
  t.equal(laneOf(await connection.answer()), "full");
  t.equal(laneOf(await connection.answer()), "full", "after content it stays there");
});

t.test("answers of pipelined requests come in the order of the requests, whatever the lane", async (t) => {
  const waiting: (() => void)[] = [];
  const { open } = await startFront(t, (incoming, response) => {
    waiting.push(() => response.end(`full ${incoming.url}`));
  });
  using connection = await open();
  const targets = ["/fast/5", "/slow/1", "/fast/6", "/fast/7", "/slow/2", "/slow/3", "/fast/8"];
  connection.write(targets.map((target) => ask(target)).join(""));
  const answers: string[] = [];
  for (const target of targets) {
    if (target.startsWith("/slow")) {
      await until(() => waiting.length > 0, `${target} is asked for`);
      t.equal(waiting.length, 1, "the next one is not before its answer");
      waiting.shift()?.();
    }
    const answer = (await connection.answer()).toString("latin1");
    answers.push(answer.slice(answer.indexOf("\r\n\r\n") + 4));
  }
  t.same(answers, ["xxxxx", "full /slow/1", "xxxxxx", "xxxxxxx", "full /slow/2", "full /slow/3", "xxxxxxxx"]);
});

t.test("a request may come cut at any byte", async (t) => {
  const { open, seen } = await startFront(t);
  using connection = await open();
  const request = ask("/fast/3", "User-Agent: test", 'If-None-Match: "a"');
  for (let at = 1; at < request.length; at += 1) {
    connection.write(ask("/fast/1") + request.slice(0, at));
    await connection.answer();
    connection.write(request.slice(at));
    t.equal(laneOf(await connection.answer()), "fast", `cut at ${at}`);
  }
  t.equal(seen.length, 2 * (request.length - 1));
});

t.test("whoever takes nothing of an answer is not answered further until it does", async (t) => {
  const { open, seen } = await startFront(t);
  using connection = await open();
  connection.socket.pause();
  const requests = 100;
  for (let index = 0; index < requests; index += 1) connection.write(ask("/fast/1000000"));
  using other = await open();
  other.write(ask("/fast/1"));
  await other.answer();
  t.ok(seen.length < requests / 2, `${seen.length} of ${requests} megabytes were written`);
  connection.socket.resume();
  for (let index = 0; index < requests; index += 1) await connection.answer();
  t.equal(seen.length, requests + 1, "and all of them once it reads");
});

t.test("slow heads and idle connections are ended", async (t) => {
  const { open, clock } = await startFront(t);
  using slow = await open();
  using idle = await open();
  slow.write("GET /fast/1 HTTP/1.1\r\nHost:");
  idle.write(ask("/fast/1"));
  await idle.answer();
  using witness = await open();
  witness.write(ask("/fast/1"));
  await witness.answer();
  await clock.advance(REQUEST_HEAD_MS_MAX + 2_000);
  t.match(await slow.rest(), /^HTTP\/1\.1 408 /);
  idle.write(ask("/fast/1"));
  t.equal(laneOf(await idle.answer()), "fast", "an idle one may still ask");
  await clock.advance(CONNECTION_IDLE_MS_MAX + 2_000);
  t.equal(await idle.rest(), "");
});

t.test("an aborted request is known as such to who answers it", async (t) => {
  const closed = Promise.withResolvers<boolean>();
  const { open } = await startFront(t, (_incoming, response) => {
    response.once("close", () => closed.resolve(response.writableFinished));
  });
  using connection = await open();
  connection.write(ask("/slow"));
  connection.socket.end();
  t.equal(await closed.promise, false);
});

t.test("a client has so many connections and no more; others are served", async (t) => {
  const { open, seen } = await startFront(t);
  await using stack = new AsyncDisposableStack();
  for (let index = 0; index < CONNECTIONS_OF_CLIENT_MAX; index += 1) stack.use(await open());
  using last = await open();
  t.equal(await last.rest(), "");
  t.same(seen, ["refused connections-of-client"]);
  await stack.disposeAsync();
  t.ok(await isServedAgain(open), "as soon as others are gone");
});

const TURNS_MAX = 10_000;

/** The edge hears of the end of a connection some time after its client. */
async function isServedAgain(open: FrontWorld["open"]): Promise<boolean> {
  for (let turn = 0; turn < TURNS_MAX; turn += 1) {
    using connection = await open();
    connection.write(ask("/fast/1"));
    if ((await connection.answer().catch(() => undefined)) !== undefined) return true;
  }
  return false;
}

t.test("stopped, it ends what is idle at once and what is being answered after the answer", async (t) => {
  const waiting: ServerResponse[] = [];
  const { open, front, clock } = await startFront(t, (_incoming, response) => void waiting.push(response));
  using idle = await open();
  idle.write(ask("/fast/1"));
  await idle.answer();
  using busy = await open();
  busy.write(ask("/slow"));
  using hung = await open();
  hung.write(ask("/hung"));
  await until(() => waiting.length === 2, "both are asked for");
  const stopped = front.stop(5_000);
  t.equal(await idle.rest(), "");
  waiting[0]?.end("done");
  t.match((await busy.answer()).toString("latin1"), /done$/);
  t.equal(await busy.rest(), "");
  await clock.advance(5_000);
  await stopped;
  t.equal(await hung.rest(), "");
});
