import fc from "fast-check";
import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { contains, formatNetwork, type IpNetwork, networkOf, parseIp, parseNetwork } from "#domain/ip-networks.ts";
import { networksTable, parseNetworksTable } from "./networks-table.ts";

const address = fc.oneof(
  fc.ipV4().map((text) => ({ text, width: 32 })),
  fc.ipV6().map((text) => ({ text, width: 128 })),
);
const network = fc
  .tuple(address, fc.nat(1000))
  .map(([{ text, width }, length]): IpNetwork | undefined => {
    const parsed = parseIp(text);
    return parsed === undefined ? undefined : networkOf(parsed, length % ((parsed.family === 4 ? 32 : width) + 1));
  })
  .filter((made) => made !== undefined);

function faultsOf(text: string): string[] {
  try {
    parseNetworksTable(text, "networks.yaml");
    return [];
  } catch (error) {
    if (isFailure(error, "config-invalid")) return error.message.split("\n");
    throw error;
  }
}

t.test("of the networks that hold an address the longest is found, and no other", async (t) => {
  const holds = fc.property(fc.array(network, { maxLength: 30 }), address, (networks, { text }) => {
    const asked = parseIp(text);
    if (asked === undefined) return false;
    // The address's own networks, so that something is found at all.
    const rows = [...networks, networkOf(asked, 8), networkOf(asked, 20)].map((network) => ({
      network,
      group: formatNetwork(network),
      coordinates: undefined,
    }));
    const holding = rows.filter((row) => contains(row.network, asked)).map((row) => row.network.prefixLength);
    const found = networksTable(rows).find(asked);
    return found !== undefined && contains(found.network, asked) && found.network.prefixLength === Math.max(...holding);
  });
  t.doesNotThrow(() => fc.assert(holds));
});

t.test("a network reads back as what was written; any text is one or is refused by name", async (t) => {
  const same = fc.property(network, (made) => {
    const parsed = parseNetwork(formatNetwork(made));
    return parsed.kind === "network" && parsed.network.bits === made.bits && parsed.network.family === made.family;
  });
  t.doesNotThrow(() => fc.assert(same));
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f.:]{0,20}\/[0-9]{0,4}$/));
  const total = fc.property(text, (written) => {
    const parsed = parseNetwork(written);
    return parsed.kind === "network" ? contains(parsed.network, parsed.network) : parsed.reason.length > 0;
  });
  t.doesNotThrow(() => fc.assert(total));
});

t.test("IPv4 within IPv6 is IPv4, and what is no address is none", async (t) => {
  t.same(parseIp("::ffff:192.0.2.7"), parseIp("192.0.2.7"));
  t.same(parseIp("fe80::1%eth0"), parseIp("fe80::1"));
  t.same(parseNetwork("::ffff:10.0.0.0/104"), parseNetwork("10.0.0.0/8"));
  for (const text of ["", "1", "1.2.3", "0x7f.1", "1.2.3.4.5", "localhost", "1.2.3.4/8"]) {
    t.equal(parseIp(text), undefined, JSON.stringify(text));
  }
});

t.test("every fault of the file is told at once, with its line", async (t) => {
  const text = `networks:
  - network: 10.0.0.0/8
    group: campus
  - network: 10.0.0.1/8
    group: campus
  - network: 10.0.0.0/8
    group: other
  - network: nowhere
    group: other
  - network: 10.0.0.0/33
    group: other
`;
  t.same(faultsOf(text), [
    'networks.yaml:4: networks[1].network "10.0.0.1/8" has bits beyond its length: write 10.0.0.0/8',
    "networks.yaml:6: networks[2].network 10.0.0.0/8 is networks[0] already",
    'networks.yaml:8: networks[3].network "nowhere" must be ADDRESS/LENGTH, as 192.0.2.0/24 or 2001:db8::/32',
    'networks.yaml:10: networks[4].network "10.0.0.0/33" must have a length of 0 to 32',
  ]);
  const shape = "networks:\n  - network: 10.0.0.0/8\n    colour: red\n    coordinates: {latitude: 91, longitude: 0}\n";
  const shown = faultsOf(shape).join("\n");
  t.match(shown, /networks\.yaml:2: networks\[0\] lacks the field group/);
  t.match(shown, /networks\.yaml:3: networks\[0\]\.colour is not a known field/);
  t.match(shown, /networks\.yaml:4: .*latitude/);
  t.match(faultsOf("networks: [")[0], /^networks\.yaml:\d+: /);
  t.match(faultsOf("networks: []\n---\nnetworks: []\n"), ["networks.yaml: must be one YAML document"]);
  t.equal(parseNetworksTable("", "empty.yaml").size, 0);
});
