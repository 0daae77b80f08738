/** What a zone answers, from octets to octets, read by another codec. */
import { decode, encode, type Option, type Packet } from "dns-packet";
import t from "tap";
import type { DnsEvents } from "./events.ts";
import { respond } from "./responder.ts";
import { RESPONSES_BURST_MAX, responseRates } from "./response-rate.ts";
import { type DnsClient, type NameLookup, type SteeredEdge, type ZoneSettings, zonesOf } from "./zone-names.ts";

const settings: ZoneSettings = {
  zones: ["cdn.example", "Deep.cdn.example"],
  nameservers: [
    { name: "ns1.dns.cdn.example", addresses: ["192.0.2.53", "2001:db8::53"] },
    { name: "ns.elsewhere.example", addresses: [] },
  ],
  ...{ ttlSecondsMin: 5, ttlSecondsMax: 60 },
};
const at = (contentUrl: string, scoreMs = 0): SteeredEdge => ({ contentUrl, scoreMs });
const edges = (...named: SteeredEdge[]): NameLookup => ({
  kind: "edges",
  edges: named,
  ttlSeconds: 20,
  scopePrefixLength: 24,
});

const NAMES: Readonly<Record<string, NameLookup | (() => NameLookup)>> = {
  "shop.cdn.example": edges(
    ...[at("https://192.0.2.1", 10), at("https://192.0.2.2:8443", 10), at("https://192.0.2.3", 12)],
    ...[at("https://192.0.2.4", 40), at("https://[2001:db8::1]", 50), at("http://192.0.2.5", 10)],
  ),
  "port.cdn.example": edges(at("https://192.0.2.2:8443")),
  "plain.cdn.example": edges(at("http://192.0.2.1:7420")),
  "many.cdn.example": edges(...[1, 2, 3, 4, 5].map((host) => at(`http://192.0.2.${host}`))),
  "named.cdn.example": edges(at("https://near-1.other.example:8443"), at("https://192.0.2.9", 1)),
  "cdn.example": edges(at("https://near-1.other.example"), at("https://192.0.2.9", 1)),
  "own.cdn.example": edges(at("http://near-1.cdn.example"), at("http://a_b..c")),
  "below.cdn.example": { kind: "empty" },
  "gone.cdn.example": { kind: "unavailable" },
  "broken.cdn.example": () => {
    throw new Error("a bug");
  },
};

function open() {
  const told: string[] = [];
  const asked: DnsClient[] = [];
  const clock = { nowMs: 0, monotonicMs: () => clock.nowMs };
  const events: DnsEvents = {
    answered: (transport, rcode) => void told.push(`${transport} ${rcode}`),
    truncated: (because) => void told.push(`truncated ${because}`),
    dropped: (because) => void told.push(`dropped ${because}`),
    broke: () => void told.push("broke"),
  };
  const names = {
    serial: () => 2 ** 32 + 7,
    lookUp(name: string, _zone: string, client: DnsClient): NameLookup {
      asked.push(client);
      const found = NAMES[name];
      return typeof found === "function" ? found() : (found ?? { kind: "absent" });
    },
  };
  const responding = { zones: zonesOf(settings), names, events, rates: responseRates(clock) };
  const send = (bytes: Buffer, from = "198.51.100.1", transport: "udp" | "tcp" = "udp") =>
    respond(responding, bytes, { transport, from });
  const ask = (name: string, type = "A", options?: readonly Option[], more: Packet = {}) => {
    const additionals =
      options === undefined ? [] : [{ type: "OPT", name: ".", udpPayloadSize: 1232, flags: 0, options }];
    const answer = send(encode({ type: "query", id: 9, questions: [{ name, type }], additionals, ...more }));
    if (answer === undefined) throw new Error("no answer");
    return decode(answer);
  };
  const read = (name: string, type = "A") => {
    const { rcode, answers } = ask(name, type);
    return [rcode, ...answers.map(({ data }) => (Buffer.isBuffer(data) ? data.toString("hex") : data))];
  };
  return { told, asked, clock, send, ask, read };
}

t.test("addresses are those of edges as near as the best, by the same scheme and port", async (t) => {
  const { read, ask } = open();
  t.same(read("shop.cdn.example"), ["NOERROR", "192.0.2.1", "192.0.2.3"]);
  t.same(read("SHOP.cdn.example", "AAAA"), ["NOERROR", "2001:db8::1"], "a family has its own best");
  t.same(read("many.cdn.example"), ["NOERROR", "192.0.2.1", "192.0.2.2", "192.0.2.3"], "three at most");
  t.same(read("plain.cdn.example", "AAAA"), ["NOERROR"]);
  t.equal(ask("shop.cdn.example").answers[0]?.ttl, 20);
  t.match(ask("plain.cdn.example", "AAAA"), {
    flag_aa: true,
    authorities: [{ name: "cdn.example", type: "SOA", ttl: 30 }],
  });
});

t.test("HTTPS is said of what is to be had by HTTPS, with its port", async (t) => {
  const { read } = open();
  const [, shop] = read("shop.cdn.example", "UNKNOWN_65");
  t.equal(shop, "000100" + "00010003026832" + "00040008c0000201c0000203" + "0006001020010db8000000000000000000000001");
  const [, port] = read("port.cdn.example", "UNKNOWN_65");
  t.equal(port, "000100" + "00010003026832" + "0003000220fb" + "00040004c0000202");
  t.same(read("plain.cdn.example", "UNKNOWN_65"), ["NOERROR"]);
});

t.test(
  "an edge that has a name only is an alias, but not of the zone itself, and not of what leads back",
  async (t) => {
    const { read } = open();
    for (const type of ["A", "AAAA", "CNAME", "TXT"]) {
      t.same(read("named.cdn.example", type), ["NOERROR", "near-1.other.example"], type);
    }
    t.same(read("cdn.example"), ["NOERROR", "192.0.2.9"]);
    t.same(read("own.cdn.example"), ["SERVFAIL"]);
  },
);

t.test("the zone says who serves it, and where they are if nobody else does", async (t) => {
  const { ask, read } = open();
  const ns = ask("cdn.example", "NS");
  t.same(
    ns.answers.map(({ data }) => data),
    ["ns1.dns.cdn.example", "ns.elsewhere.example"],
  );
  t.same(
    ns.additionals.map(({ data }) => data),
    ["192.0.2.53", "2001:db8::53"],
  );
  t.same(read("ns1.dns.cdn.example", "AAAA"), ["NOERROR", "2001:db8::53"]);
  t.same(read("ns1.dns.cdn.example", "TXT"), ["NOERROR"]);
  t.match(ask("cdn.example", "SOA").answers[0]?.data, {
    mname: "ns1.dns.cdn.example",
    rname: "hostmaster.cdn.example",
    serial: 7,
  });
  t.match(ask("x.deep.cdn.example").authorities[0], { name: "deep.cdn.example" }, "the longest zone");
});

t.test("what is not there, what has nothing of the type, and what is another's are told apart", async (t) => {
  const { read, ask, told } = open();
  t.same(read("nope.cdn.example"), ["NXDOMAIN"]);
  t.match(ask("nope.cdn.example").authorities, [{ type: "SOA", ttl: 30, data: { minimum: 30 } }]);
  t.same(read("below.cdn.example"), ["NOERROR"]);
  t.same(read("dns.cdn.example"), ["NOERROR"], "a name below it is there");
  t.same(read("shop.cdn.example", "TXT"), ["NOERROR"]);
  t.same(read("gone.cdn.example"), ["SERVFAIL"]);
  for (const name of ["other.example", "cdn.example.org", "xcdn.example", "."]) t.same(read(name), ["REFUSED"], name);
  t.same(read("cdn.example", "AXFR"), ["REFUSED"]);
  t.match(ask("shop.cdn.example", "ANY").answers, [{ type: "HINFO", data: { cpu: "RFC8482" } }]);
  t.match(ask("nope.cdn.example", "ANY"), { rcode: "NXDOMAIN" });
  t.match(ask("cdn.example", "A", [], { questions: [{ name: "cdn.example", type: "A", class: "CH" }] }), {
    rcode: "REFUSED",
  });
  t.same(read("broken.cdn.example"), ["SERVFAIL"]);
  t.ok(told.includes("broke"));
});

const subnetOption = (ip: string, sourcePrefixLength: number): Option => ({
  ...{ code: "CLIENT_SUBNET", family: ip.includes(":") ? 2 : 1, ip, sourcePrefixLength, scopePrefixLength: 0 },
});

t.test(
  "the client's network decides where the resolver tells it, and comes back with what it was good for",
  async (t) => {
    const { ask, asked } = open();
    const scopeOf = (name: string, option: Option) => {
      const [record] = ask(name, "A", [option]).additionals;
      return record?.options?.[0]?.scopePrefixLength;
    };
    t.equal(scopeOf("shop.cdn.example", subnetOption("203.0.113.0", 28)), 24);
    t.same(asked.at(-1), { address: "203.0.113.0", sourcePrefixLength: 28 });
    t.equal(scopeOf("shop.cdn.example", subnetOption("203.0.0.0", 16)), 16, "never more than was told");
    t.equal(scopeOf("shop.cdn.example", subnetOption("0.0.0.0", 0)), 0);
    t.same(asked.at(-1), { address: "198.51.100.1", sourcePrefixLength: undefined }, "who wants to be unknown is");
    t.equal(scopeOf("shop.cdn.example", subnetOption("2001:db8::", 32)), 24);
    t.equal(asked.at(-1)?.address, "2001:db8:0:0:0:0:0:0");
    t.equal(scopeOf("nope.cdn.example", subnetOption("203.0.113.0", 24)), 0, "nobody's network makes it be there");
    t.same(ask("shop.cdn.example", "A", []).additionals[0]?.options, [], "it is told to nobody who has not told it");
    const refused = ask("other.example", "A", [subnetOption("203.0.113.0", 24)]);
    t.same(refused.additionals[0]?.options, []);
  },
);

t.test("another version of EDNS is told so, and an unknown option is nothing", async (t) => {
  const { ask } = open();
  const version1 = {
    additionals: [{ type: "OPT", name: ".", udpPayloadSize: 1232, ednsVersion: 1, flags: 0, options: [] }],
  };
  t.match(ask("shop.cdn.example", "A", [], version1), {
    rcode: "NOERROR",
    answers: [],
    additionals: [{ extendedRcode: 1 }],
  });
  t.match(ask("shop.cdn.example", "A", [{ code: 65_001, data: Buffer.of(1, 2) }]), { rcode: "NOERROR" });
});

t.test("a network that asks too much is cut short or left out by UDP, and goes on in a second", async (t) => {
  const { send, clock, told } = open();
  const query = encode({ type: "query", id: 1, questions: [{ name: "shop.cdn.example", type: "A" }] });
  const outcomes = Array.from({ length: RESPONSES_BURST_MAX + 100 }, (_, at) => send(query, `198.51.100.${at % 200}`));
  const cut = outcomes.filter((answer) => answer !== undefined && decode(answer).flag_tc);
  t.equal(outcomes.filter((answer) => answer === undefined).length, 50);
  t.equal(cut.length, 50);
  t.ok(cut.every((answer) => (answer?.length ?? 0) <= query.length));
  t.ok(send(query, "203.0.113.1"), "another network has its own share");
  const byTcp = Array.from({ length: RESPONSES_BURST_MAX + 100 }, () => send(query, "198.51.100.7", "tcp"));
  t.ok(
    byTcp.slice(0, RESPONSES_BURST_MAX).every((answer) => answer !== undefined && !decode(answer).flag_tc),
    "who was cut short is answered by TCP",
  );
  t.ok(
    byTcp.slice(RESPONSES_BURST_MAX).every((answer) => answer === undefined),
    "as many and no more",
  );
  clock.nowMs = 1000;
  t.equal(decode(send(query) ?? Buffer.alloc(0)).flag_tc, false);
  t.equal(told.filter((line) => line === "dropped rate").length, 50 + 100);
});

t.test("a refusal is no longer than what it answers", async (t) => {
  const { send } = open();
  const names = ["other.example", "nope.other.example"];
  for (const options of [[], [subnetOption("203.0.113.0", 24)]]) {
    const additionals = [{ type: "OPT", name: ".", udpPayloadSize: 1232, flags: 0, options }];
    for (const name of names) {
      for (const more of [{}, { additionals }]) {
        const query = encode({ type: "query", id: 1, questions: [{ name, type: "A" }], ...more });
        t.ok((send(query)?.length ?? 0) <= query.length, name);
      }
    }
  }
});

t.test("a zone that could not be served is refused at the start, with all that is wrong", async (t) => {
  const wrong = {
    ...{ zones: ["a..b", "cdn.example"], contact: "x@y", ttlSecondsMin: 9, ttlSecondsMax: 8 },
    nameservers: [
      ...[
        { name: "ns1.cdn.example", addresses: [] },
        { name: "ns2.cdn.example", addresses: ["192.0.2"] },
      ],
      { name: "ns 3", addresses: [] },
    ],
  };
  t.throws(() => zonesOf(wrong), { code: "config-invalid" });
  try {
    zonesOf(wrong);
  } catch (error) {
    const lines = String(error instanceof Error ? error.message : error).split("\n");
    t.equal(lines.length, 6);
    t.match(
      lines.join(" "),
      /dns\.zones\[0\].*nameservers\[0\]\.addresses must have one.*"192\.0\.2".*nameservers\[2\]\.name.*contact.*ttlSecondsMin/,
    );
  }
});
