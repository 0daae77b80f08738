import fc from "fast-check";
import ipaddr from "ipaddr.js";
import t from "tap";
import { formatNetwork, parseIp, parseNetwork } from "./ip-networks.ts";

const texts = [
  "::",
  "::1",
  "1::",
  "1:0:0:2::",
  "2001:db8::8:800:200c:417a",
  "0:0:1::",
  "1:2:3:4:5:6:7::",
  "a:0:b:0:c:0:d:0",
];

t.test("addresses are written in the shortest form", async (t) => {
  const written = (text: string) => {
    const address = parseIp(text);
    return address === undefined ? undefined : formatNetwork({ ...address, prefixLength: 128 });
  };
  t.equal(written("2001:0DB8:0:0:1:0:0:1"), "2001:db8::1:0:0:1/128", "the first of two runs as long");
  t.equal(written("1:0:0:2:0:0:0:3"), "1:0:0:2::3/128", "the longest run");
  t.equal(written("1:0:2:3:4:5:6:7"), "1:0:2:3:4:5:6:7/128", "one group is not left out");
  for (const text of texts) t.equal(parseIp(written(text)?.slice(0, -4) ?? "")?.bits, parseIp(text)?.bits, text);
});

t.test("what is no address is none", async (t) => {
  const wrong = [
    "",
    "1.2.3",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4.5",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7:8:9",
    "12345::",
  ];
  for (const text of [...wrong, "g::", "1:2:3:4:5:6:7", "::1.2.3", "1.2.3.4::", "1:2:3:4:5:6:7:8::"]) {
    t.equal(parseIp(text), undefined, text);
  }
  t.match(parseNetwork("10.0.0.1/8"), { kind: "invalid", reason: /bits beyond its length: write 10.0.0.0\/8/ });
});

t.test("addresses are read and written as another reader has them", async (t) => {
  const group = fc.integer({ min: 0, max: 0xffff }).map((value) => (value % 3 === 0 ? 0 : value));
  const holds = fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
    const address = new ipaddr.IPv6(groups);
    const parsed = parseIp(address.toNormalizedString());
    if (address.isIPv4MappedAddress()) return parsed?.family === 4;
    if (parsed?.family !== 6) return false;
    return formatNetwork({ ...parsed, prefixLength: 128 }) === `${address.toRFC5952String()}/128`;
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 500 }));
});
