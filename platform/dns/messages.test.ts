/** Messages beside dns-packet, which nobody here wrote: what it writes is read alike, what is written here it reads alike. */
import { decode, encode, type Option } from "dns-packet";
import fc from "fast-check";
import t from "tap";
import { addressOf } from "./client-subnet.ts";
import { octetsOf, textOf } from "./ip-octets.ts";
import { type DnsQuery, readQuery } from "./query.ts";
import { type DnsRecord, payloadBytesOf, UDP_PAYLOAD_BYTES_MAX, writeResponse, writeTruncated } from "./response.ts";

const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,63}$/);
const name = fc
  .array(label, { minLength: 1, maxLength: 8 })
  .map((labels) => labels.join("."))
  .filter((text) => text.length <= 253);
const subnet = fc.oneof(
  fc.record({ family: fc.constant(1), ip: fc.ipV4(), sourcePrefixLength: fc.nat(32) }),
  fc.record({ family: fc.constant(2), ip: fc.ipV6(), sourcePrefixLength: fc.nat(128) }),
);

const clientSubnet = (option: Partial<Option>): Option => ({ code: "CLIENT_SUBNET", scopePrefixLength: 0, ...option });
const opt = (options: readonly Option[] = [], more: object = {}) => ({
  ...{ type: "OPT", name: ".", udpPayloadSize: 1400, flags: 0, options },
  ...more,
});
const asking = (question: string, more: object = {}) =>
  encode({ type: "query", id: 7, questions: [{ name: question, type: "A" }], ...more });

function queryOf(bytes: Buffer): DnsQuery {
  const read = readQuery(bytes);
  if (read.kind !== "query") throw new Error(`read as ${read.kind}`);
  return read.query;
}

const answering = (answers: readonly DnsRecord[], scopePrefixLength?: number) => ({
  ...{ rcode: "NOERROR" as const, isAuthoritative: true, answers, authority: [], additional: [] },
  scopePrefixLength,
});

t.test("a query is read as another codec writes it, its name without regard to case", async (t) => {
  const holds = fc.property(name, fc.nat(65_535), fc.boolean(), fc.option(subnet), (text, id, isEdns, client) => {
    const options = client === null ? [] : [clientSubnet({ ...client, ip: masked(client) })];
    const additionals = isEdns ? [opt(options)] : [];
    const query = queryOf(asking(text, { id, additionals }));
    const told = query.edns?.clientSubnet;
    return (
      query.head.id === id &&
      query.question.name === text.toLowerCase() &&
      (query.edns !== undefined) === isEdns &&
      (told === undefined) === (!isEdns || client === null) &&
      (told === undefined || client === null || told.sourcePrefixLength === client.sourcePrefixLength)
    );
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 300 }));
});

/** The network's lowest address: dns-packet writes what it is given. */
function masked({ ip, sourcePrefixLength }: { readonly ip: string; readonly sourcePrefixLength: number }): string {
  const octets = octetsOf(ip) ?? Buffer.alloc(0);
  const whole = ip.includes(":") && octets.length === 4 ? Buffer.concat([Buffer.alloc(12), octets]) : octets;
  return textOf(
    Buffer.from(whole.map((octet, at) => octet & (0xff00 >> Math.max(0, Math.min(8, sourcePrefixLength - 8 * at))))),
  );
}

t.test("addresses go between text and octets", async (t) => {
  const six = fc.property(fc.ipV6(), (text) => {
    const octets = octetsOf(text);
    return octets?.length === 4 || (octets?.length === 16 && octetsOf(textOf(octets))?.equals(octets) === true);
  });
  const four = fc.property(fc.ipV4(), (text) => textOf(octetsOf(text) ?? Buffer.alloc(0)) === text);
  t.doesNotThrow(() => fc.assert(six, { numRuns: 200 }));
  t.doesNotThrow(() => fc.assert(four, { numRuns: 100 }));
  t.same(octetsOf("::ffff:192.0.2.1"), Buffer.of(192, 0, 2, 1), "IPv4 in IPv6 is IPv4");
  t.equal(octetsOf("2001:db8::1")?.toString("hex"), "20010db8000000000000000000000001");
  for (const text of ["", "1.2.3", "host", "1.2.3.4.5", "1::2::3"]) t.equal(octetsOf(text), undefined, text);
});

t.test("what is no query of one question is refused by its code, and an answer is never answered", async (t) => {
  const good = asking("a.example");
  const flagged = (bytes: Buffer, flags: number) => {
    const copy = Buffer.from(bytes);
    copy.writeUInt16BE(flags, 2);
    return copy;
  };
  const counted = (bytes: Buffer, at: number, count: number) => {
    const copy = Buffer.from(bytes);
    copy.writeUInt16BE(count, at);
    return copy;
  };
  const pointer = Buffer.concat([good.subarray(0, 12), Buffer.of(0xc0, 12, 0, 1, 0, 1)]);
  const optBytes = (data: Buffer) => {
    const record = Buffer.concat([Buffer.of(0, 0, 41, 4, 208, 0, 0, 0, 0, data.length >> 8, data.length & 255), data]);
    return counted(Buffer.concat([good, record]), 10, 1);
  };
  const subnetBytes = (...octets: number[]) => optBytes(Buffer.from([0, 8, 0, octets.length, ...octets]));
  const twice = Buffer.concat([optBytes(Buffer.alloc(0)), Buffer.of(0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0)]);
  const long = Buffer.concat([good.subarray(0, 12), ...Array(5).fill(Buffer.alloc(60, 59)), Buffer.of(0, 0, 1, 0, 1)]);
  const cases: readonly (readonly [string, Buffer, string])[] = [
    ["too short for a header", good.subarray(0, 11), "short"],
    ["an answer", flagged(good, 0x8000), "response"],
    ["an update", flagged(good, 5 << 11), "NOTIMP"],
    ["a notification", flagged(good, 4 << 11), "NOTIMP"],
    ["no question", counted(good, 4, 0), "FORMERR"],
    ["two questions", counted(good, 4, 2), "FORMERR"],
    ["a query with an answer", counted(good, 6, 1), "FORMERR"],
    ["a query with an authority", counted(good, 8, 1), "FORMERR"],
    ["a record that is not there", counted(good, 10, 1), "FORMERR"],
    ["65,535 records", counted(good, 10, 65_535), "FORMERR"],
    ["a name that points to itself", pointer, "FORMERR"],
    ["a name of 300 octets", long, "FORMERR"],
    ["half a question", good.subarray(0, -3), "FORMERR"],
    ["something after the end", Buffer.concat([good, Buffer.of(0)]), "FORMERR"],
    ["two OPT", counted(twice, 10, 2), "FORMERR"],
    ["an unknown option that is cut off", optBytes(Buffer.of(0, 10, 0, 9, 0)), "FORMERR"],
    ["an option that is cut off", optBytes(Buffer.of(0, 8, 0, 9, 0)), "FORMERR"],
    ["a subnet without lengths", subnetBytes(0, 1), "FORMERR"],
    ["a subnet of family 3", subnetBytes(0, 3, 0, 0), "FORMERR"],
    ["a subnet of 33 bits", subnetBytes(0, 1, 33, 0, 1, 1, 1, 1, 1), "FORMERR"],
    ["a subnet with a scope", subnetBytes(0, 1, 8, 8, 10), "FORMERR"],
    ["a subnet with bits beyond", subnetBytes(0, 1, 20, 0, 10, 0, 1), "FORMERR"],
    ["a subnet with octets beyond", subnetBytes(0, 1, 8, 0, 10, 0), "FORMERR"],
    ["a subnet of nobody with a length", subnetBytes(0, 0, 8, 0, 10), "FORMERR"],
  ];
  for (const [what, bytes, expected] of cases) {
    const read = readQuery(bytes);
    t.equal(read.kind === "faulty" ? read.rcode : read.kind === "ignored" ? read.because : read.kind, expected, what);
  }
  t.equal(readQuery(subnetBytes(0, 0, 0, 0)).kind, "query", "nobody's subnet");
  t.equal(readQuery(subnetBytes(0, 1, 20, 0, 10, 0, 16)).kind, "query");
  const told = queryOf(subnetBytes(0, 1, 20, 0, 10, 0, 16)).edns?.clientSubnet;
  t.equal(told && addressOf(told), "10.0.16.0");
  t.equal(readQuery(optBytes(Buffer.of(0, 10, 0, 2, 1, 2))).kind, "query", "an option that nobody knows here");
  const dotted = Buffer.concat([good.subarray(0, 12), Buffer.of(3, 97, 46, 65, 0, 0, 1, 0, 1)]);
  t.equal(queryOf(dotted).question.name, "a\\046a", "a dot in a label divides nothing");
});

t.test("a response is what another codec reads, and keeps the letters of the question", async (t) => {
  const query = queryOf(
    asking("ShOp.Cdn.Example", {
      additionals: [opt([clientSubnet({ ip: "192.0.2.0", family: 1, sourcePrefixLength: 24 })])],
    }),
  );
  const times = { serial: 5, refreshSeconds: 1, retrySeconds: 2, expireSeconds: 3, negativeSeconds: 4 };
  const records: readonly DnsRecord[] = [
    { owner: "shop.cdn.example", ttlSeconds: 9, data: { type: "A", address: "192.0.2.1" } },
    { owner: "shop.cdn.example", ttlSeconds: 9, data: { type: "AAAA", address: "2001:db8::1" } },
    { owner: "cdn.example", ttlSeconds: 9, data: { type: "NS", target: "ns1.cdn.example" } },
    { owner: "www.cdn.example", ttlSeconds: 9, data: { type: "CNAME", target: "near-1.other.test" } },
    {
      owner: "cdn.example",
      ttlSeconds: 9,
      data: { type: "SOA", primary: "ns1.cdn.example", contact: "x.other.test", times },
    },
    { owner: "shop.cdn.example", ttlSeconds: 9, data: { type: "HINFO", cpu: "RFC8482" } },
    {
      ...{ owner: "shop.cdn.example", ttlSeconds: 9 },
      data: { type: "HTTPS", priority: 1, alpn: ["h2"], port: 8443, ipv4: ["192.0.2.1"], ipv6: [] },
    },
  ];
  const bytes = writeResponse(query, answering(records, 20), UDP_PAYLOAD_BYTES_MAX);
  t.equal(bytes.toString("latin1", 12, 30), "\x04ShOp\x03Cdn\x07Example\0");
  const read = decode(bytes);
  t.match(read, { id: 7, type: "response", flag_aa: true, flag_ra: false, flag_tc: false, rcode: "NOERROR" });
  const seen = read.answers.map(({ name, type, data }) => [name.toLowerCase(), type, data]);
  t.same(seen.slice(0, 4), [
    ["shop.cdn.example", "A", "192.0.2.1"],
    ["shop.cdn.example", "AAAA", "2001:db8::1"],
    ["cdn.example", "NS", "ns1.Cdn.Example"],
    ["www.cdn.example", "CNAME", "near-1.other.test"],
  ]);
  t.match(seen[4]?.[2], { rname: "x.other.test", serial: 5, minimum: 4 });
  t.match(seen[5]?.[2], { cpu: "RFC8482", os: "" });
  const https = Buffer.from(
    "0001" + "00" + "00010003" + "026832" + "00030002" + "20fb" + "00040004" + "c0000201",
    "hex",
  );
  t.same(seen[6]?.[2], https, "RFC 9460 section 2.2");
  t.match(read.additionals, [
    { type: "OPT", options: [{ sourcePrefixLength: 24, scopePrefixLength: 20, ip: "192.0.2.0" }] },
  ]);
});

t.test("names are compressed against the question and each other, whatever they are", async (t) => {
  const holds = fc.property(name, fc.array(name, { maxLength: 6 }), (question, targets) => {
    const query = queryOf(asking(question));
    const owner = query.question.name;
    const records = targets.map(
      (target): DnsRecord => ({ owner, ttlSeconds: 1, data: { type: "NS", target: target.toLowerCase() } }),
    );
    const read = decode(writeResponse(query, answering(records), 65_535));
    return read.answers.every(({ name: read, data }, at) => {
      return read === question && String(data).toLowerCase() === targets[at]?.toLowerCase();
    });
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 200 }));
});

t.test("what does not fit a datagram says so, and is then no longer than the query", async (t) => {
  const many = Array.from(
    { length: 40 },
    (_, at): DnsRecord => ({
      ...{ owner: "a.example", ttlSeconds: 1, data: { type: "A", address: `192.0.2.${at}` } },
    }),
  );
  const plain = asking("a.example");
  const large = asking("a.example", { additionals: [opt([], { udpPayloadSize: 4096 })] });
  t.equal(payloadBytesOf(queryOf(plain)), 512);
  t.equal(payloadBytesOf(queryOf(large)), UDP_PAYLOAD_BYTES_MAX);
  t.equal(payloadBytesOf(queryOf(asking("a.example", { additionals: [opt([], { udpPayloadSize: 100 })] }))), 512);
  const cut = writeResponse(queryOf(plain), answering(many), 512);
  t.match(decode(cut), { flag_tc: true, answers: [], questions: [{ name: "a.example" }] });
  t.ok(cut.length <= plain.length);
  t.match(decode(writeResponse(queryOf(large), answering(many), UDP_PAYLOAD_BYTES_MAX)), { flag_tc: false });
  const short = writeTruncated(queryOf(large), { rcode: "NOERROR", isAuthoritative: false });
  t.ok(short.length <= large.length);
});
