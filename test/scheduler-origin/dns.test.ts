/** A real origin, edges and a scheduler that serves a zone: asked by dig, and through unbound. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { Address } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { type Dug, dig, isMissing } from "../dns/dig.ts";
import { startUnbound } from "../dns/unbound.ts";
import { api, type Cloud, document, joinSettings, startCloud, startEdgeHere } from "../edge-origin/edge-and-origin.ts";
import { metric, schedulerSettings, startSchedulerHere } from "./steering-cloud.ts";

const EVENT_MS_MAX = 20_000;
const lisbon = { latitude: 38.72, longitude: -9.14 };
const warsaw = { latitude: 52.23, longitude: 21.01 };
const NEAR = "127.0.0.11";
const FAR = "127.0.0.12";
const FROM_LISBON = "+subnet=198.51.100.0/24";
const FROM_WARSAW = "+subnet=203.0.113.0/24";
const shop = document("Site", "shop", { hostnames: ["www.cdn.test"], pull: { upstream: "http://127.0.0.1:9" } });
const pool = (name: string, coordinates: object) => document("NodePool", name, { region: name, coordinates });

const addressesOf = ({ answers }: Dug) => answers.map(({ value }) => value);

interface ZoneCloud {
  readonly cloud: Cloud;
  readonly folder: string;
  readonly dns: Address;
  readonly scheduler: Awaited<ReturnType<typeof startSchedulerHere>>;
}

/** Two pools with an edge each that has an IP address, and a scheduler that knows both. */
async function start(t: Test): Promise<ZoneCloud> {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  await api(cloud, "POST", "/v1/apply", { documents: [shop, pool("near", lisbon), pool("far", warsaw)] });
  for (const [name, at] of [
    ["near", NEAR],
    ["far", FAR],
  ] as const) {
    const edge = await joinSettings(cloud, folder, `${name}-1`, { pool: name });
    const named = { contentUrl: `http://${at}:7420`, hostname: `${name}-1.edge.cdn.test` };
    await startEdgeHere(t, { ...edge, settings: { ...edge.settings, ...named } });
  }
  const networksFile = join(folder, "clients.yaml");
  const networks = [
    ...[{ network: "127.0.0.0/8", group: "here", coordinates: lisbon }],
    ...[{ network: "198.51.100.0/24", group: "lisbon", coordinates: lisbon }],
    { network: "203.0.0.0/16", group: "warsaw", coordinates: warsaw },
  ];
  writeFileSync(networksFile, JSON.stringify({ networks }));
  const local = "127.0.0.1:0";
  const settings = await schedulerSettings(cloud, folder, "s1", {
    networksFile,
    listen: { client: local, admin: local, dns: local },
    dns: { zones: ["cdn.test"], nameservers: [{ name: "ns1.cdn.test", addresses: ["127.0.0.1"] }] },
  });
  const scheduler = await startSchedulerHere(t, settings);
  const { dns } = scheduler.addresses;
  if (dns === undefined) throw new Error("it listens");
  await untilDug(dns, [FROM_WARSAW, "shop.cdn.test"], (dug) => addressesOf(dug).join() === FAR);
  return { cloud, folder, dns, scheduler };
}

async function untilDug(at: Address, words: readonly string[], isWanted: (dug: Dug) => boolean): Promise<Dug> {
  const limit = systemClock.deadline(EVENT_MS_MAX);
  let last: Dug | undefined;
  while (!limit.aborted) {
    last = await dig(at, ...words);
    if (isWanted(last)) return last;
  }
  throw new Error(`not answered as wanted: ${words.join(" ")}\n${last?.text}`);
}

const missing = isMissing("dig", "bind9-dnsutils");
const unboundIsMissing = missing ?? isMissing("unbound", "unbound");

if (missing !== undefined) t.test("a zone asked by dig", { skip: missing }, async () => undefined);
else {
  t.test("clients of two networks are told the edge that is nearest to each, and how far that holds", async (t) => {
    const { cloud, dns, scheduler } = await start(t);
    for (const name of ["shop.cdn.test", "www.cdn.test", "WWW.cdn.Test"]) {
      const far = await dig(dns, FROM_WARSAW, name);
      t.match(far, { status: "NOERROR", subnet: "203.0.113.0/24/16", answers: [{ type: "A", value: FAR }] }, name);
      t.ok(far.flags.includes("aa"), name);
      const near = await dig(dns, FROM_LISBON, name);
      t.match(near, { status: "NOERROR", subnet: "198.51.100.0/24/24", answers: [{ type: "A", value: NEAR }] }, name);
    }
    t.match(await dig(dns, "shop.cdn.test"), { subnet: undefined, answers: [{ value: NEAR }] }, "the resolver's place");
    t.match(await dig(dns, "+subnet=0", "shop.cdn.test"), { subnet: "0.0.0.0/0/0", answers: [{ value: NEAR }] });
    t.match(await dig(dns, "+tcp", FROM_WARSAW, "shop.cdn.test"), { answers: [{ value: FAR }] });
    t.match(await dig(dns, "far-1.edge.cdn.test"), { answers: [{ value: FAR }] });
    t.match(await dig(dns, "shop.far-1.edge.cdn.test"), { answers: [{ value: FAR }] }, "where a redirect leads to");
    t.match(await dig(dns, "shop.cdn.test", "AAAA"), { status: "NOERROR", answers: [{ type: "SOA" }] });
    t.match(await dig(dns, "shop.cdn.test", "HTTPS"), { status: "NOERROR", answers: [{ type: "SOA" }] }, "it is HTTP");
    t.match(await dig(dns, "nope.cdn.test"), { status: "NXDOMAIN" });
    t.match(await dig(dns, "shop.example"), { status: "REFUSED" });
    t.ok((await metric(scheduler, 'dns_responses_total{transport="udp",rcode="NXDOMAIN"}')) >= 1);
    t.ok((await metric(scheduler, 'steered_total{source="geography"}')) >= 9);

    const node = JSON.parse(await api(cloud, "GET", "/v1/resources/Node/far-1"));
    await api(cloud, "POST", "/v1/apply", { documents: [document("Node", "far-1", { ...node.spec, cordoned: true })] });
    const moved = await untilDug(dns, [FROM_WARSAW, "shop.cdn.test"], (dug) => addressesOf(dug).join() === NEAR);
    t.equal(moved.answers[0]?.ttlSeconds, 5, "a choice that is new is kept for short");
  });
}

if (unboundIsMissing !== undefined) t.test("a zone through unbound", { skip: unboundIsMissing }, async () => undefined);
else {
  t.test("a resolver finds the zone, writes names as it likes, and keeps an answer for each network", async (t) => {
    const { folder, dns, scheduler } = await start(t);
    await using unbound = await startUnbound(folder, "cdn.test", dns);
    const { address } = unbound;
    for (const [subnet, expected] of [
      [FROM_WARSAW, FAR],
      [FROM_LISBON, NEAR],
    ] as const) {
      const first = await dig(address, subnet, "shop.cdn.test");
      t.match(first, { status: "NOERROR", answers: [{ type: "A", value: expected }] }, subnet);
      t.ok(first.flags.includes("ra") && !first.flags.includes("aa"), "it is the resolver that answers");
      const before = await metric(scheduler, 'dns_responses_total{transport="udp",rcode="NOERROR"}');
      t.match(await dig(address, subnet, "shop.cdn.test"), { answers: [{ value: expected }] }, "from its cache");
      t.equal(await metric(scheduler, 'dns_responses_total{transport="udp",rcode="NOERROR"}'), before);
    }
    t.match(await dig(address, "shop.near-1.edge.cdn.test"), { answers: [{ value: NEAR }] });
    t.match(await dig(address, "nope.cdn.test"), { status: "NXDOMAIN" });
    t.match(await dig(address, "shop.cdn.test", "AAAA"), { status: "NOERROR" });
    t.match(await dig(address, "+tcp", "www.cdn.test"), { answers: [{ value: NEAR }] });
  });
}
