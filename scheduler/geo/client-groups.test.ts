import fc from "fast-check";
import t from "tap";
import type { PolicyMatch, WrittenPlacementPolicy } from "#domain/policy/placement-policy.ts";
import { groupPrefixLength, locateClient } from "./client-groups.ts";
import { loadGeoip, NO_GEOIP } from "./geoip.ts";
import { NO_NETWORKS, parseNetworksTable } from "./networks-table.ts";

const lisbon = { latitude: 38.72, longitude: -9.14 };
const table = parseNetworksTable(
  JSON.stringify({
    networks: [
      { network: "8.8.0.0/16", group: "office", coordinates: lisbon, country: "PT", asn: 64_500 },
      { network: "8.8.4.0/24", group: "lab" },
    ],
  }),
  "networks.json",
);

t.test("the operator's word comes before the network itself and before geography", async (t) => {
  const geoip = { find: () => ({ country: "US", coordinates: { latitude: 37.75, longitude: -97.82 } }) };
  const locate = (address: string) => locateClient({ networks: table, geoip }, address);
  const office = { address: "8.8.8.8", country: "PT", asn: 64_500, network: "8.8.8.0/24" };
  const groups = ["network:office", "asn:64500 cell:38,-10", "cell:38,-10", "country:PT"];
  t.same(locate("8.8.8.8"), { groups, coordinates: lisbon, ...office });
  const lab = { address: "8.8.4.4", country: "US", asn: undefined, network: "8.8.4.0/24" };
  t.same(locate("8.8.4.4"), { groups: ["network:lab"], coordinates: undefined, ...lab }, "the longest prefix says all");
  const elsewhere = locate("9.9.9.9");
  t.same(elsewhere.groups, ["prefix:9.9.9.0/24", "cell:37,-98", "country:US"]);
  t.same(locate("2001:db8:1:2::3").groups[0], "prefix:2001:db8:1::/48");
});

t.test("loopback has no place, and what is no address has no group", async (t) => {
  const locate = (address: string) => locateClient({ networks: NO_NETWORKS, geoip: NO_GEOIP }, address);
  const unknown = { coordinates: undefined, country: undefined, asn: undefined };
  const nowhere = { groups: ["prefix:127.0.0.0/24"], network: "127.0.0.0/24", ...unknown };
  t.same(locate("127.0.0.1"), { ...nowhere, address: "127.0.0.1" });
  t.same(locate("::ffff:127.0.0.1"), { ...nowhere, address: "::ffff:127.0.0.1" });
  t.same(locate("not an address"), { groups: [], coordinates: undefined });
});

t.test("GeoLite2 places public addresses and no others", async (t) => {
  const geoip = await loadGeoip();
  t.equal(geoip.find("8.8.8.8")?.country, "US");
  t.type(geoip.find("8.8.8.8")?.coordinates?.latitude, "number");
  t.equal(geoip.find("2001:4860:4860::8888")?.country, "US");
  t.equal(geoip.find("127.0.0.1"), undefined);
  t.equal(geoip.find("::1")?.coordinates, undefined);
});

t.test("a prefix says a group where every address in it is of that group, whatever rows there are", async (t) => {
  const lengthOf = (address: string) => groupPrefixLength({ networks: table, policies: [] }, address);
  t.equal(lengthOf("9.9.9.9"), 24);
  t.equal(lengthOf("2001:db8::1"), 48);
  t.equal(lengthOf("8.8.4.4"), 24);
  t.equal(lengthOf("8.8.128.1"), 17, "the lab is in the other half of the office");
  t.equal(lengthOf("8.8.5.1"), 24, "the lab is next door");
  t.equal(lengthOf("nobody"), 0);
  const row = fc.record({ bits: fc.nat(255), length: fc.integer({ min: 18, max: 32 }) });
  const holds = fc.property(fc.array(row, { maxLength: 6 }), fc.nat(255), fc.nat(255), (rows, at, other) => {
    const written = new Map<string, object>();
    for (const { bits, length } of rows) {
      const kept = length <= 24 ? 0 : bits & (0xff00 >> (length - 24));
      const network = `10.0.0.${kept & 255}/${length}`;
      written.set(network, { network, group: network.replace("/", "-") });
    }
    const networks = parseNetworksTable(JSON.stringify({ networks: [...written.values()] }), "networks.json");
    const groupOf = (last: number) => locateClient({ networks, geoip: NO_GEOIP }, `10.0.0.${last}`).groups[0];
    const length = groupPrefixLength({ networks, policies: [] }, `10.0.0.${at}`);
    const shared = length <= 24 ? 0 : 0xff00 >> (length - 24);
    const isWithin = (at & shared & 255) === (other & shared & 255);
    return !isWithin || groupOf(at) === groupOf(other);
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 300 }));
});

const spec: WrittenPlacementPolicy = {
  ...{ apps: [], sites: ["shop"], latencyBudgetMs: {}, constraints: [], preferences: [] },
  ...{ capacityReserveRatio: 0, onNoFit: "degrade", sessionSecondsMax: 3600, stickinessMs: 5 },
};

t.test("nor does it hold addresses that policies of sites tell apart", async (t) => {
  const networks = parseNetworksTable(
    JSON.stringify({
      networks: [
        { network: "10.0.0.0/8", group: "corp" },
        { network: "11.0.0.0/8", group: "corp", country: "DE" },
      ],
    }),
    "networks.json",
  );
  const lengthOf = (address: string, match: PolicyMatch, named: Partial<WrittenPlacementPolicy> = {}) => {
    const policies = [{ name: "some", spec: { ...spec, match, ...named } }];
    return groupPrefixLength({ networks, policies }, address);
  };
  const cidrs = ["10.1.0.0/16", "9.9.9.128/25", "2001:db8:0:1::/64"];
  t.equal(lengthOf("10.1.0.1", { cidrs }), 16);
  t.equal(lengthOf("10.2.0.1", { cidrs }), 15, "next door");
  t.equal(lengthOf("10.128.0.1", { cidrs }), 9);
  t.equal(lengthOf("11.1.0.1", { cidrs }), 8);
  t.equal(lengthOf("9.9.9.9", { cidrs }), 25);
  t.equal(lengthOf("2001:db8::1", { cidrs }), 64);
  t.equal(lengthOf("10.1.0.1", { cidrs: ["10.0.0.0/7"] }), 8);
  t.equal(lengthOf("10.1.0.1", { cidrs }, { sites: [], apps: ["hall"] }), 8, "of sessions, which have no names");
  for (const match of [{ countries: ["DE"] }, { expression: 'client.country == "DE"' }]) {
    t.equal(lengthOf("10.1.0.1", match), 24, "where it is, geography says, by network");
    t.equal(lengthOf("11.1.0.1", match), 8, "where it is, the row says");
  }
  t.equal(lengthOf("10.1.0.1", { asns: [64_500] }), 8, "what announces it only rows say");
  t.equal(lengthOf("11.1.0.1", { expression: 'client.address.startsWith("11.1.0.")' }), 32);
});
