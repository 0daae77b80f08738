import { createHash } from "node:crypto";
import t, { type Test } from "tap";
import type { Manifest } from "#domain/content/release.ts";
import { addCounts, CACHE_COUNTS, STATUS_COUNTS, type UsageCount, type UsageCounts } from "#domain/usage/site-usage.ts";
import { createLogger } from "#platform/logging.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";
import { openRaw, type RawConnection } from "#test/front/raw-connection.ts";
import { until } from "#test/simulation/until.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { SiteGates } from "../access/site-gates.ts";
import { startContentListener } from "../content-listener.ts";
import type { DesiredSite } from "../desired-state/desired-view.ts";
import { createEdgeEvents } from "../events.ts";
import { countsOf, SiteTallies } from "../usage/site-tallies.ts";
import { BlobFolder } from "./blob-folder.ts";
import { contentRoutes } from "./content-routes.ts";
import { ObjectMemory } from "./object-memory.ts";

const BYTES: Readonly<Record<string, string>> = {
  page: "<h1>hello</h1>",
  packed: "packed",
  large: "x".repeat(300_000),
  empty: "",
};
const digestOf = (content: string) => createHash("sha256").update(content).digest("hex");
const blob = (name: string) => ({ digest: digestOf(BYTES[name] ?? ""), sizeBytes: (BYTES[name] ?? "").length });
const file = (name: string, more = {}) => ({ ...blob(name), mediaType: "text/html", ...more });
const fields = { "cache-control": "max-age=60", "x-name": "J\u00fcrgen", vary: "Origin" };
const manifest: Manifest = {
  formatVersion: 1,
  site: "shop",
  generation: 1,
  createdAtMs: 1,
  files: {
    "/index.html": file("page"),
    "/a/index.html": file("page", { fields }),
    "/dated": file("page", { fields: { date: "Tue, 24 Nov 2026 08:49:30 GMT" } }),
    "/packed": file("page", { fields, encodings: { br: blob("packed") } }),
    "/large": file("large"),
    "/empty": file("empty"),
    "/no bytes": file("page", { fields: { "x-name": "\u20ac" } }),
    "/404.html": file("page"),
  },
};
const tag = `If-None-Match: "${digestOf(BYTES["page"] ?? "")}"`;
/** Targets with field lines of a request. */
const ASKED: readonly (readonly string[])[] = ["/", "/a/", "/dated", "/packed", "/index.html?q=/x", "/large", "/empty"]
  .flatMap((target) => [[target], [target, "Accept-Encoding: gzip, br"], [target, tag], [target, "Range: bytes=1-2"]])
  .concat([
    ["/a"],
    ["/nothing"],
    ["/%61/"],
    ["/../a/"],
    ["/", "If-None-Match: *"],
    ["/packed", "Accept-Encoding: br", tag],
    ["/packed", "Accept-Encoding: br", `If-None-Match: W/"${blob("packed").digest}"`],
    ["/", "If-Modified-Since: Tue, 24 Nov 2126 08:49:30 GMT"],
  ]);

function siteOf(more: Partial<DesiredSite["spec"]> = {}): DesiredSite {
  const publish = { keepReleases: 5, indexDocument: "index.html", notFoundDocument: "/404.html" };
  return {
    name: "shop",
    spec: { hostnames: ["shop.example"], publish, ...more },
    release: undefined,
    isAssigned: true,
    fillWindows: [],
    offline: {},
  };
}

async function start(t: Test, site: DesiredSite) {
  const clock = new VirtualClock(Date.UTC(2026, 10, 24));
  const folder = await BlobFolder.open(testFolder(t), 1e9);
  for (const content of Object.values(BYTES)) {
    const bytes = async function* () {
      yield Buffer.from(content);
    };
    await folder.receive(digestOf(content), content.length, async () => ({ offset: 0, bytes: bytes() }));
  }
  const counted = new Map<number, number>();
  const usage = new SiteTallies();
  const state = { full: 0, isUp: true };
  const link = {
    cutOffMs: 0,
    get isUp() {
      return state.isUp;
    },
  };
  const metrics = createMetrics("edge-node");
  const edgeEvents = createEdgeEvents(createLogger({ program: "edge-node", level: "silent" }), metrics);
  const routes = contentRoutes(
    {
      folder,
      memory: new ObjectMemory(1e6),
      fetcher: { ensure: () => Promise.reject(new Error("all is here")) },
      siteOf: (host) => (host === "shop.example" ? site : undefined),
      keeper: { get: () => ({ generation: 1, manifest }) },
      pulls: { get: () => undefined },
      gates: new SiteGates({ clock, events: { refused: () => {} } }),
      link,
      events: {
        blobDamaged: () => {},
        misdirected: () => {},
        published: (status) => void counted.set(status, (counted.get(status) ?? 0) + 1),
      },
      edgeEvents,
    },
    () => {
      state.full += 1;
      return false;
    },
  );
  const listener = await startContentListener({ host: "127.0.0.1", port: 0 }, routes, { clock, log: undefined, usage });
  t.teardown(() => listener[Symbol.asyncDispose]());
  return { state, counted, usage, open: () => openRaw(listener.address.port) };
}

/** Without the time of its Date, which node:http takes from the system. */
async function ask(connection: RawConnection, method: string, [target, ...lines]: readonly string[]) {
  connection.write([`${method} ${target} HTTP/1.1`, "Host: shop.example", ...lines, "", ""].join("\r\n"));
  const answer = await connection.answer({ isHead: method === "HEAD" });
  return answer.toString("latin1").replace(/\r\nDate: \w+, [\w :]+ GMT\r\n/, "\r\nDate: now\r\n");
}

function sumOf(counts: UsageCounts, names: readonly UsageCount[]): number {
  return names.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
}

t.test("both lanes answer for a published site with the same bytes, and count alike", async (t) => {
  const world = await start(t, siteOf());
  using fast = await world.open();
  using full = await world.open();
  // An empty line before a request is nothing that the fast lane knows: the connection is node:http's from here on.
  full.write("\r\n");
  for (const asked of ASKED) await ask(full, "GET", asked);
  const both = ASKED.flatMap((asked) => [["GET", asked] as const, ["HEAD", asked] as const]);
  /** An answer from a file is counted a little after its last byte. */
  const pass = async (connection: RawConnection) => {
    world.counted.clear();
    world.usage.take();
    const answers: string[] = [];
    for (const [method, asked] of both) answers.push(await ask(connection, method, asked));
    const sum = () => [...world.counted.values()].reduce((all, count) => all + count, 0);
    await until(() => sum() === both.length, "all are counted");
    let used: UsageCounts = {};
    await until(() => {
      used = addCounts(used, countsOf(world.usage.take().get("shop") ?? new Float64Array()));
      return sumOf(used, STATUS_COUNTS) === both.length;
    }, "all are counted for the site");
    return { answers, counted: new Map(world.counted), used };
  };
  const wanted = await pass(full);
  const before = world.state.full;
  const got = await pass(fast);
  for (const [index, [method, asked]] of both.entries())
    t.equal(got.answers[index], wanted.answers[index], `${method} ${asked.join(", ")}`);
  t.same(got.counted, wanted.counted);
  t.same(got.used, wanted.used, "for the site, too");
  t.equal(sumOf(got.used, CACHE_COUNTS), both.length);
  t.ok((got.used.sentBytes ?? 0) > 0);
  t.equal(both.length - (world.state.full - before), 38, "all that are simple, for what is in memory");
});

t.test("what a policy, a signature or a rate may have a word in is not answered before them", async (t) => {
  const rated = await start(t, siteOf({ rateLimit: { requestsPerSecond: 1, burst: 3 } }));
  using connection = await rated.open();
  await ask(connection, "GET", ["/"]);
  const statuses: string[] = [];
  for (let index = 0; index < 3; index += 1) statuses.push((await ask(connection, "GET", ["/"])).slice(9, 12));
  t.same(statuses, ["200", "200", "429"], "both lanes take from one bucket");
  t.equal(rated.state.full, 2, "the first, and the one over the rate");

  const signed = await start(t, siteOf({ signedUrls: { keys: [], paths: ["/private/*"] } }));
  using third = await signed.open();
  await ask(third, "GET", ["/"]);
  await ask(third, "GET", ["/"]);
  t.equal(signed.state.full, 2);

  const open = await start(t, siteOf());
  using other = await open.open();
  await ask(other, "GET", ["/"]);
  await ask(other, "GET", ["/"]);
  t.equal(open.state.full, 1);
  open.state.isUp = false;
  await ask(other, "GET", ["/"]);
  t.equal(open.state.full, 2, "cut off, the flow decides");
});
