import { createServer, type IncomingMessage } from "node:http";
import t, { type Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { thumbprintOf, verifyProof } from "#platform/identity/dpop.ts";
import { until } from "#test/simulation/until.ts";
import { browserClock } from "../clock.ts";
import { PROBING_MS_MAX, probeEdges, SAMPLES, SAMPLING_MS_MAX } from "../probe/probe.ts";
import { createClientKey } from "./key.ts";
import { createSessionApi } from "./session-api.ts";

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly body: Record<string, unknown>;
}

async function serve(
  t: Test,
  answer: (seen: Seen) => { status: number; body?: unknown },
): Promise<{ url: string; seen: Seen[] }> {
  const all: Seen[] = [];
  const server = createServer(async (request, response) => {
    const seen = { method: request.method ?? "", url: request.url ?? "", body: await readBody(request) };
    all.push(seen);
    const { status, body } = answer(seen);
    response
      .writeHead(status, { "content-type": "application/json" })
      .end(body === undefined ? undefined : JSON.stringify(body));
  });
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(server));
  return { url: `http://127.0.0.1:${port}`, seen: all };
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  const text = Buffer.concat(chunks).toString();
  return text === "" ? {} : JSON.parse(text);
}

const candidates = { session: "s-12345678", candidates: [], expiresAtMs: 1 };
const placed = { state: "placed", decision: "d", placement: "jws", pool: "near", edges: ["http://edge"], budget: {} };

t.test("every proof is one the services accept, for its own request, with the key of the session", async (t) => {
  const scheduler = await serve(t, ({ url }) => ({ status: 200, body: url.endsWith("/probes") ? placed : candidates }));
  const key = await createClientKey(browserClock);
  const api = createSessionApi({ scheduler: scheduler.url, appToken: "app", key, clock: browserClock });
  const created = await api.create({ app: "hall", tier: "strict", device: { name: "test" } });
  t.match(await api.place(created.session, []), { state: "placed", placement: "jws" });
  const [first, second] = scheduler.seen;
  t.strictSame(first?.body["key"], key.publicKey);
  const expected = { method: "POST", urls: [`${scheduler.url}${second?.url}`], nowMs: systemClock.nowMs() };
  const proven = await verifyProof(String(second?.body["proof"]), expected);
  t.equal(proven.thumbprint, await thumbprintOf({ ...key.publicKey }));
});

t.test("204 on renewal keeps the placement; a refusal carries its code and what could be had", async (t) => {
  const problem = { code: "no-pool-fits", detail: "nothing within 30 ms", bestAchievableMs: 41 };
  const scheduler = await serve(t, ({ url }) =>
    url.endsWith("/renew") ? { status: 204 } : { status: 503, body: problem },
  );
  const key = await createClientKey(browserClock);
  const api = createSessionApi({ scheduler: scheduler.url, appToken: "app", key, clock: browserClock });
  t.equal(await api.renew("s-12345678", { placement: "jws", reason: "promotion" }), undefined);
  await t.rejects(api.place("s-12345678", []), { code: "no-pool-fits", problem: { bestAchievableMs: 41 } });
  const nobody = createSessionApi({ scheduler: "http://127.0.0.1:1", appToken: "app", key, clock: browserClock });
  await t.rejects(nobody.place("s-12345678", []), { code: "unreachable" });
});

t.test(
  "servers to be found by are taken as they come, and an answer with such that a browser throws for is refused",
  async (t) => {
    const good = [{ urls: ["stun:a.example"] }, { urls: ["turn:b.example"], username: "1:s", credential: "c" }];
    let iceServers: unknown = good;
    const scheduler = await serve(t, () => ({ status: 200, body: { ...placed, iceServers } }));
    const key = await createClientKey(browserClock);
    const api = createSessionApi({ scheduler: scheduler.url, appToken: "app", key, clock: browserClock });
    t.match(await api.place("s-12345678", []), { iceServers: good });
    const wrong = [{}, [null], [{}], [{ urls: "stun:a" }], [{ urls: ["http://a"] }], [{ urls: ["turn:b.example"] }]];
    for (iceServers of wrong) {
      await t.rejects(api.place("s-12345678", []), { code: "upstream-malformed" }, JSON.stringify(iceServers));
    }
  },
);

t.test("an answer of an unknown shape is refused, not used", async (t) => {
  const scheduler = await serve(t, () => ({ status: 200, body: { state: "levitating" } }));
  const key = await createClientKey(browserClock);
  const api = createSessionApi({ scheduler: scheduler.url, appToken: "app", key, clock: browserClock });
  await t.rejects(api.place("s-12345678", []), { code: "upstream-malformed" });
});

t.test("probing asks each edge once to connect and three times to measure; a dead edge is left out", async (t) => {
  const edge = await serve(t, () => ({ status: 200, body: { answer: "signed" } }));
  const target = (url: string) => ({ node: "n", pool: "p", url, token: "tok en" });
  const results = await probeEdges([target(edge.url), target("http://127.0.0.1:1")], {
    clock: browserClock,
    withinMs: PROBING_MS_MAX,
  });
  t.match(results, [{ target: { url: edge.url }, result: { answer: "signed" } }]);
  t.equal(results[0]?.result.rttMs.length, SAMPLES);
  t.equal(edge.seen.length, SAMPLES + 1);
  t.equal(edge.seen[0]?.url, "/.perigee/v1/probe?token=tok%20en");
});

t.test("who has no sample when the time for samples is over is left out, unless nobody has one", async (t) => {
  const edge = await serve(t, () => ({ status: 200, body: { answer: "signed" } }));
  const silent = createServer(() => undefined);
  const { port } = await listen(silent, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(silent));
  const targets = [edge.url, `http://127.0.0.1:${port}`].map((url) => ({ node: "n", pool: "p", url, token: "t" }));
  const over = new AbortController();
  const clock = {
    ...browserClock,
    deadline: (ms: number, parent?: AbortSignal) =>
      ms === SAMPLING_MS_MAX ? over.signal : browserClock.deadline(ms, parent),
  };
  const sampled = Promise.withResolvers<void>();
  const byUdp = async () => {
    sampled.resolve();
    return [7];
  };
  const udp = { address: "127.0.0.1", port: 1, fragment: "f", password: "p" };
  const near = await serve(t, () => ({ status: 200, body: { answer: "signed", udp } }));
  const probing = probeEdges([{ node: "n", pool: "p", url: near.url, token: "t" }, ...targets], {
    ...{ clock, withinMs: 5_000, byUdp },
  });
  await sampled.promise;
  await until(() => edge.seen.length > SAMPLES, "three samples of the other");
  over.abort(new DOMException("over", "TimeoutError"));
  const results = await probing;
  t.same(
    results.map(({ target }) => target.url),
    [near.url, edge.url],
  );
  t.same(results[0]?.result, { answer: "signed", rttMs: [7] }, "what was measured over UDP counts");

  const nobodyYet = await probeEdges(targets, { clock, withinMs: 2_000 });
  t.same(
    nobodyYet.map(({ target }) => target.url),
    [edge.url],
    "then all have the whole time",
  );
});
