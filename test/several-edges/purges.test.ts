/** Purges over several edges: each hears of them, one that was away too, and no edge gets an old copy back from another. */
import t from "tap";
import { EXIT } from "#cli/exit-codes.ts";
import { runCommandLine } from "#cli/program.ts";
import { rankMembers } from "#domain/placement/bounded-load-hash.ts";
import { formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { startEdgeHere } from "../edge-origin/edge-and-origin.ts";
import { FRONT, metricOf, purge, startTierWorld, type TierEdge, tierEdgeOf, untilApplied } from "./tier-world.ts";

/** What the issue allows from the order to the last edge. */
const PURGE_MS_MAX = 1000;

const bodiesOf = async (edges: readonly TierEdge[], path: string) =>
  (await Promise.all(edges.map((edge) => edge.ask(path)))).map(({ body }) => body.toString());

t.test(
  "a purge by URL, tag, prefix and of all, hard and soft, is at every edge of every pool within a second",
  async (t) => {
    const { cloud, upstream, edges } = await startTierWorld(t, { near: { edges: 2 }, far: { edges: 2 } });
    const orders: readonly [name: string, match: object, soft: boolean][] = [
      ["by-url", { kind: "paths", paths: ["/shop/page"] }, false],
      ["by-tag", { kind: "tags", tags: ["page"] }, false],
      ["by-prefix", { kind: "prefix", prefix: "/shop/" }, false],
      ["of-all", { kind: "all" }, false],
      ["soft", { kind: "tags", tags: ["page"] }, true],
    ];
    for (const [name, match, soft] of orders) {
      await bodiesOf(edges, "/shop/page");
      const before = upstream.asked.length;
      await bodiesOf(edges, "/shop/page");
      t.equal(upstream.asked.length, before, "the pools have it");
      const givenMs = systemClock.monotonicMs();
      await purge(cloud, name, match, { soft });
      await untilApplied(cloud, edges);
      const tookMs = systemClock.monotonicMs() - givenMs;
      t.ok(tookMs <= PURGE_MS_MAX, `${name}: ${Math.round(tookMs)} ms`);
      for (const body of await bodiesOf(edges, "/shop/page")) {
        const times = Number(body.split(" ")[1]);
        t.ok(times > before, `${name}: ${body} is of after the purge, ${before} were before`);
      }
    }
  },
);

t.test("an edge that was away applies on its return what was purged meanwhile", async (t) => {
  const { cloud, edges } = await startTierWorld(t, { near: { edges: 2 } });
  const [one, two] = edges;
  if (one === undefined || two === undefined) throw new Error("two edges");
  await bodiesOf(edges, "/page");
  t.same(await bodiesOf(edges, "/page"), ["/page 1", "/page 1"]);
  await two.running[Symbol.asyncDispose]();
  await purge(cloud, "meanwhile", { kind: "all" });
  await untilApplied(cloud, [one]);
  t.equal((await one.ask("/page")).body.toString(), "/page 2");
  const back = tierEdgeOf(await startEdgeHere(t, two.settings), two.settings, two.link);
  await untilApplied(cloud, [back]);
  t.not((await back.ask("/page")).body.toString(), "/page 1");
});

/** The two of a pool, by who is the home of a path. */
function byHome(edges: readonly TierEdge[], path: string) {
  const [homeName] = rankMembers(
    `front ${path}`,
    edges.map(({ name }) => name),
  );
  const home = edges.find(({ name }) => name === homeName);
  const other = edges.find(({ name }) => name !== homeName);
  if (home === undefined || other === undefined) throw new Error("two edges");
  return { home, other };
}

t.test("who has applied a purge takes no old copy from who has not: sibling", async (t) => {
  const { cloud, upstream, edges } = await startTierWorld(t, { near: { edges: 2 } });
  const { home, other } = byHome(edges, "/page");
  await other.ask("/page");
  t.same(await bodiesOf(edges, "/page"), ["/page 1", "/page 1"]);
  home.link.halfOpen();
  await purge(cloud, "unheard", { kind: "paths", paths: ["/page"] });
  await untilApplied(cloud, [other]);
  t.equal((await other.ask("/page")).body.toString(), "/page 2", "from the upstream");
  t.equal(await metricOf(home, "peer_requests_total", 'outcome="behind"'), 1);
  t.match(await other.ask("/page"), { headers: { "cache-status": /hit/ } });
  t.equal((await home.ask("/page")).body.toString(), "/page 1", "it has not heard of it");
  home.link.restore();
  await untilApplied(cloud, edges);
  t.equal((await home.ask("/page")).body.toString(), "/page 3", "the home asks nobody below it");
  t.equal(upstream.asked.length, 3);
});

t.test("who has applied a purge takes no old copy from who has not: parent pool", async (t) => {
  const { cloud, edges } = await startTierWorld(t, { core: { edges: 1 }, near: { edges: 1, parent: "core" } });
  const [core, near] = edges;
  t.same(await bodiesOf(edges, "/page"), ["/page 1", "/page 1"]);
  core?.link.halfOpen();
  await purge(cloud, "unheard", { kind: "tags", tags: ["page"] });
  if (near !== undefined) await untilApplied(cloud, [near]);
  t.equal((await near?.ask("/page"))?.body.toString(), "/page 2", "from the upstream");
  t.same(await bodiesOf(edges, "/page"), ["/page 1", "/page 2"]);
  core?.link.restore();
  await untilApplied(cloud, edges);
});

t.test("an old copy taken from a sibling while a purge is on its way to both does not outlive it", async (t) => {
  const { cloud, edges } = await startTierWorld(t, { near: { edges: 2 } });
  const { home, other } = byHome(edges, "/page");
  t.equal((await home.ask("/page")).body.toString(), "/page 1");
  for (const edge of edges) edge.link.halfOpen();
  await purge(cloud, "on-its-way", { kind: "paths", paths: ["/page"] });
  t.equal((await other.ask("/page")).body.toString(), "/page 1", "given and taken after the purge was made");
  for (const edge of edges) edge.link.restore();
  await untilApplied(cloud, edges);
  t.not((await other.ask("/page")).body.toString(), "/page 1");
});

t.test("what was on its way up the tiers before a purge is joined by nobody after it, and kept nowhere", async (t) => {
  const { cloud, upstream, edges } = await startTierWorld(t, { near: { edges: 2 } });
  const { home, other } = byHome(edges, "/page");
  const counted = upstream.respond;
  const held = Promise.withResolvers<() => void>();
  upstream.respond = (_incoming, response) =>
    held.resolve(() => response.writeHead(200, { "cache-control": "max-age=600" }).end("old"));
  const early = other.ask("/page");
  const release = await held.promise;
  upstream.respond = counted;
  await purge(cloud, "while-filling", { kind: "all" });
  await untilApplied(cloud, edges);
  t.equal((await other.ask("/page")).body.toString(), "/page 2");
  release();
  t.equal((await early).body.toString(), "old", "who asked before it has what they asked for");
  for (const edge of [home, other]) t.equal((await edge.ask("/page")).body.toString(), "/page 2", edge.name);
});

t.test("perigee purge orders by URL, tag, prefix or all, and says when every edge has applied it", async (t) => {
  const { cloud, upstream, edges } = await startTierWorld(t, { near: { edges: 2 }, far: { edges: 1 } });
  const run = async (...words: string[]) => {
    const lines: string[] = [];
    const notes: string[] = [];
    const code = await runCommandLine(
      ["--origin", `http://${formatAddress(cloud.origin.addresses.operatorApi)}`, "purge", ...words],
      {
        output: { line: (text) => void lines.push(text), note: (text) => void notes.push(text) },
        environment: { variables: { HOME: "/nowhere", PERIGEE_TOKEN: cloud.operatorToken }, folder: "/nowhere" },
        signal: new AbortController().signal,
        killSignal: new AbortController().signal,
      },
    );
    return { code, out: lines.join("\n"), notes: notes.join("\n") };
  };
  for (const words of [
    ["--url", `http://${FRONT}/shop/page`],
    ["--tag", "page", "--soft"],
    ["--prefix", "/shop"],
    ["--all"],
  ]) {
    await bodiesOf(edges, "/shop/page");
    const before = upstream.asked.length;
    const result = await run("--site", "front", ...words);
    t.match(result, { code: 0, out: /^Purge\/front\.[0-9a-f-]+ {2}applied by 3 of 3 edges$/, notes: /^$/ }, `${words}`);
    for (const body of await bodiesOf(edges, "/shop/page"))
      t.ok(Number(body.split(" ")[1]) > before, `${words}: ${body}`);
  }
  for (const [words, said] of [
    [["--site", "front"], /exactly one of/],
    [["--site", "front", "--all", "--tag", "x"], /exactly one of/],
    [["--site", "front", "--url", "ftp://x"], /--url must be/],
    [["--site", "front", "--all", "--wait", "soon"], /--wait must be/],
  ] as const) {
    t.match(await run(...words), { code: EXIT.usage, notes: said });
  }
  const [away] = edges;
  await away?.running[Symbol.asyncDispose]();
  t.match(await run("--site", "front", "--all", "--wait", "1"), {
    code: 0,
    out: /2 of 3 edges/,
    notes: /1 have not said/,
  });
});
