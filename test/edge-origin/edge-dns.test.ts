/** A real edge that serves a zone beside its content: asked by dig, linked and cut off, and after a start without the origin. */
import { join } from "node:path";
import t from "tap";
import type { Address } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { type Dug, dig, isMissing } from "../dns/dig.ts";
import { api, decide, document, joinSettings, startCloud, startEdgeHere } from "./edge-and-origin.ts";

const EVENT_MS_MAX = 20_000;
const OWN = "127.0.0.11";
const SIBLING = "127.0.0.12";
const site = document("Site", "shop", { hostnames: ["www.cdn.test"], pull: { upstream: "http://127.0.0.1:9" } });
const entry = (node: string, at: string) => ({
  ...{ node, pool: "near", contentUrl: `http://${at}:7420`, hostname: `${node}.edge.cdn.test` },
});
const table = document("SteeringTable", "near", {
  pool: "near",
  edges: [entry("near-2", SIBLING), entry("near-1", OWN)],
});

const addressesOf = ({ answers }: Dug) => answers.map(({ value }) => value).sort();

async function untilAddresses(at: Address | undefined, name: string, wanted: readonly string[]): Promise<Dug> {
  if (at === undefined) throw new Error("it listens");
  const limit = systemClock.deadline(EVENT_MS_MAX);
  let last: Dug | undefined;
  while (!limit.aborted) {
    last = await dig(at, name);
    if (addressesOf(last).join() === wanted.join()) return last;
  }
  throw new Error(`not told as wanted: ${last?.text}`);
}

const missing = isMissing("dig", "bind9-dnsutils");
if (missing !== undefined) t.test("an edge's zone asked by dig", { skip: missing }, async () => undefined);
else {
  t.test("an edge answers for the zone with or without the cloud, and starts so", async (t) => {
    const folder = testFolder(t);
    const cloud = await startCloud(t, join(folder, "origin"));
    await api(cloud, "POST", "/v1/apply", { documents: [site] });
    const { settings, ...joined } = await joinSettings(cloud, folder, "near-1");
    const dns = { listen: "127.0.0.1:0", zones: ["cdn.test"], nameservers: [{ name: "ns.other.test", addresses: [] }] };
    const named = { contentUrl: `http://${OWN}:7420`, hostname: "near-1.edge.cdn.test" };
    const edgeSettings = { ...joined, settings: { ...settings, ...named, dns } };
    const edge = await startEdgeHere(t, edgeSettings);
    await decide(cloud, folder, table);
    const both = await untilAddresses(edge.addresses.dns, "www.cdn.test", [OWN, SIBLING]);
    t.ok(both.flags.includes("aa"));
    t.equal(both.answers[0]?.ttlSeconds, 5);

    await cloud.origin[Symbol.asyncDispose]();
    await untilAddresses(edge.addresses.dns, "shop.cdn.test", [OWN]);
    await edge[Symbol.asyncDispose]();
    const again = await startEdgeHere(t, edgeSettings);
    const { dns: address } = again.addresses;
    if (address === undefined) throw new Error("it listens");
    t.match(await dig(address, "+tcp", "shop.cdn.test"), {
      status: "NOERROR",
      answers: [{ value: OWN, ttlSeconds: 5 }],
    });
    t.match(await dig(address, "shop.near-2.edge.cdn.test"), { answers: [{ value: SIBLING }] });
    t.match(await dig(address, "+subnet=203.0.113.0/24", "shop.cdn.test"), { subnet: "203.0.113.0/24/0" });
    t.match(await dig(address, "nope.cdn.test"), { status: "NXDOMAIN" });
    t.match(await dig(address, "other.test"), { status: "REFUSED" });
  });
}
