import { performance } from "node:perf_hooks";
import t, { type Test } from "tap";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { type Script, say } from "./upstream.ts";
import type { Answer } from "./user-agent.ts";
import { staleFields, startWorld, type World } from "./world.ts";

/** An edge that has something stale to give does not make its user agent wait for a dead upstream. */
const STALE_WAIT_MS_MAX = 3_000;

type Expected = "stale" | "500" | "error";

interface Stored {
  readonly cacheControl: string;
  /** What RFC 9111 and RFC 5861 have answered when the upstream says 500, and when it says nothing. */
  readonly on500: Expected;
  readonly onSilence: Expected;
  readonly because: string;
}

const STORED: Readonly<Record<string, Stored>> = {
  "stale-if-error": {
    cacheControl: "stale-if-error=86400",
    on500: "stale",
    onSilence: "stale",
    because: "RFC 5861 section 4: stale for any 5xx or no answer, within the time named",
  },
  "stale-if-error that has run out": {
    cacheControl: "stale-if-error=60",
    on500: "500",
    onSilence: "error",
    because: "RFC 5861 section 4: after it, as if it were not there; its owner has named how long",
  },
  plain: {
    cacheControl: "",
    on500: "500",
    onSilence: "stale",
    because: "RFC 9111 section 4.2.4: stale when disconnected; a 500 is an answer (section 4.3.3)",
  },
  "must-revalidate": {
    cacheControl: "must-revalidate, stale-if-error=86400",
    on500: "500",
    onSilence: "error",
    because: "RFC 9111 section 5.2.2.2: never stale, an error instead",
  },
  "s-maxage": {
    cacheControl: "s-maxage=60",
    on500: "500",
    onSilence: "error",
    because: "RFC 9111 section 5.2.2.10: for a shared cache as proxy-revalidate",
  },
};

interface Outage {
  readonly script: Script;
  readonly begin?: (world: World) => Promise<void>;
  readonly expected: (stored: Stored) => Expected;
}

const onSilence = ({ onSilence: expected }: Stored) => expected;

const OUTAGES: Readonly<Record<string, Outage>> = {
  "answers 500": {
    script: ({ response }) => void response.writeHead(500, { "cache-control": "no-store" }).end("broken"),
    expected: ({ on500 }) => on500,
  },
  "closes the connection": { script: ({ request }) => void request.socket.destroy(), expected: onSilence },
  "refuses connections": { script: () => {}, begin: ({ upstream }) => upstream.close(), expected: onSilence },
  "takes requests and says nothing": { script: () => {}, expected: onSilence },
};

function judge(t: Test, name: string, expected: Expected, answer: Answer, tookMs: number): void {
  switch (expected) {
    case "stale":
      t.same([answer.status, answer.text], [200, "old"], `${name}: stale`);
      t.ok(Number(answer.headers.age) >= 3660, `${name}: its Age says how old it is`);
      t.ok(tookMs <= STALE_WAIT_MS_MAX, `${name}: after ${Math.round(tookMs)} ms`);
      return;
    case "500":
      t.same([answer.status, answer.text], [500, "broken"], `${name}: what the upstream says`);
      return;
    case "error":
      t.ok([502, 503, 504].includes(answer.status), `${name}: an error, got ${answer.status} ${answer.text}`);
      t.match(answer.headers["proxy-status"], /Perigee; ?error=/, `${name}: why (RFC 9209)`);
  }
}

async function recover(t: Test, world: World): Promise<void> {
  const target = "/outage/plain";
  world.upstream.on(target, say("new", { "cache-control": "max-age=60" }));
  await world.upstream.open();
  const isNew = ({ text }: Answer) => text === "new";
  await t.resolves(
    untilSo("it is asked again", () => world.ask(target), isNew),
    "once it is back, it is asked again",
  );
}

for (const [outage, { script, begin, expected }] of Object.entries(OUTAGES)) {
  t.test(`when the upstream ${outage}, stale is served where the RFCs allow it, and only there`, async (t) => {
    const world = await startWorld(t);
    const cases = Object.entries(STORED).map(([name, stored]) => ({
      name: `${name} (${stored.because})`,
      target: `/outage/${name.replaceAll(" ", "-")}`,
      stored,
    }));
    for (const { target, stored } of cases) {
      world.upstream.on(target, say("old", staleFields(stored.cacheControl)));
      await world.ask(target);
    }
    await world.settle();
    for (const { target } of cases) world.upstream.on(target, script);
    await begin?.(world);
    const sinceMs = performance.now();
    for (const round of ["first", "again"]) {
      const asking = cases.map(async ({ name, target, stored }) => {
        const answer = await world.ask(target);
        judge(t, `${round}, ${name}`, expected(stored), answer, performance.now() - sinceMs);
      });
      await Promise.all(asking);
      if (outage.startsWith("takes")) break;
    }
    if (begin !== undefined) await recover(t, world);
  });
}

t.test("a 500 that is passed on does not take the place of what is stored", async (t) => {
  const world = await startWorld(t);
  world.upstream.on("/kept", ({ request, response, turn, turnOfConnection }) => {
    if (turn === 2) return void response.writeHead(500, { "cache-control": "max-age=3600" }).end("broken");
    if (request.headers["if-none-match"] === '"old"') return void response.writeHead(304, { etag: '"old"' }).end();
    return say("old", staleFields("must-revalidate"))({ request, response, turn, turnOfConnection });
  });
  await world.prime("/kept");
  t.equal((await world.ask("/kept")).status, 500);
  t.match(
    [(await world.ask("/kept")).text, world.upstream.received("/kept").length],
    ["old", 3],
    "validated, from the store",
  );
});

t.test("an error that says it is fresh for long is stored briefly", async (t) => {
  const world = await startWorld(t);
  for (const [status, ttlSecondsMax] of [
    [404, 300],
    [410, 300],
    [500, 10],
    [503, 10],
  ] as const) {
    const target = `/negative/${status}`;
    world.upstream.on(
      target,
      ({ response }) => void response.writeHead(status, { "cache-control": "max-age=86400" }).end(),
    );
    await world.prime(target);
    const answer = await world.ask(target);
    t.equal(answer.status, status);
    const ttlSeconds = Number(/ttl=(\d+)/.exec(answer.cacheStatus)?.[1] ?? 0);
    t.ok(ttlSeconds <= ttlSecondsMax, `${status}: ${answer.cacheStatus}`);
  }
});
