/** Addresses of STUN and TURN servers: each part read, usual ports filled in, and what is none is none. */
import fc from "fast-check";
import t from "tap";
import { parseIceUrl, STUN_URL_PATTERN, TURN_URL_PATTERN } from "./ice-server.ts";

t.test("each part is read, and what is left out is as usual (RFC 7064, RFC 7065)", async (t) => {
  const table = {
    "stun:stun.example": { scheme: "stun", host: "stun.example", port: 3478, transport: "udp" },
    "stuns:192.0.2.1:5350": { scheme: "stuns", host: "192.0.2.1", port: 5350, transport: "tcp" },
    "turn:[2001:db8::1]:1": { scheme: "turn", host: "2001:db8::1", port: 1, transport: "udp" },
    "turn:turn.example?transport=tcp": { scheme: "turn", host: "turn.example", port: 3478, transport: "tcp" },
    "turns:turn.example:65535?transport=udp": {
      ...{ scheme: "turns", host: "turn.example", port: 65_535, transport: "udp" },
    },
    "turns:turn.example": { scheme: "turns", host: "turn.example", port: 5349, transport: "tcp" },
  };
  for (const [url, parts] of Object.entries(table)) t.same(parseIceUrl(url), parts, url);
});

t.test("what is no address is none", async (t) => {
  const none = [
    ...["", "stun", "stun:", "http:a", "stun://a", "stun:a:0", "stun:a:65536", "stun:a:b", "STUN:a"],
    ...["stun:a?transport=udp", "turn:a?transport=sctp", "turn:user@a", "turn:a:3478/x", " stun:a", "stun:a\n"],
  ];
  for (const url of none) {
    const isMatched = [STUN_URL_PATTERN, TURN_URL_PATTERN].some((pattern) => new RegExp(pattern).test(url));
    t.equal(isMatched, false, JSON.stringify(url));
    t.equal(parseIceUrl(url), undefined, JSON.stringify(url));
  }
});

t.test("what the configuration takes is what is parsed, with a port that there is", async (t) => {
  const patterns = fc.oneof(
    fc.stringMatching(new RegExp(STUN_URL_PATTERN)),
    fc.stringMatching(new RegExp(TURN_URL_PATTERN)),
  );
  fc.assert(
    fc.property(patterns, (url) => {
      const address = parseIceUrl(url);
      t.ok(address !== undefined && address.port >= 1 && address.port <= 65_535 && address.host !== "", url);
    }),
  );
});
