import fc from "fast-check";
import t from "tap";
import { isOriginAllowed, isOriginPattern } from "./web-origins.ts";

t.test("an origin is allowed where scheme, host and port are those of a pattern", async (t) => {
  const cases: readonly [pattern: string, origin: string, expected: boolean][] = [
    ["https://vr.example", "https://vr.example", true],
    ["https://vr.example", "https://VR.example:443", true],
    ["https://vr.example", "http://vr.example", false],
    ["https://vr.example", "https://vr.example:8443", false],
    ["https://vr.example", "https://vr.example.evil.example", false],
    ["https://vr.example", "https://evil-vr.example", false],
    ["https://vr.*.edge.example", "https://vr.near-1.edge.example", true],
    ["https://vr.*.edge.example", "https://vr.a.b.edge.example", false],
    ["https://vr.*.edge.example", "https://vr..edge.example", false],
    ["http://localhost:*", "http://localhost:7420", true],
    ["http://localhost:*", "http://localhost", true],
    ["http://localhost", "http://localhost:7420", false],
    ["*", "https://vr.example", false],
    ["https://*.example", "null", false],
    ["https://*.example", "https://*.example", false],
    ["https://*.example", "https://user@a.example", false],
    ["https://*.example", "https://a.example/path", false],
  ];
  for (const [pattern, origin, expected] of cases) {
    t.equal(isOriginAllowed([pattern], origin), expected, `${origin} by ${pattern}`);
  }
});

t.test("a pattern is scheme, host and port, and nothing else", async (t) => {
  for (const pattern of ["https://vr.example", "http://*.localhost:*", "https://vr.*.edge.example:8443"])
    t.ok(isOriginPattern(pattern), pattern);
  for (const pattern of ["vr.example", "https://vr.example/", "https://vr.example/page", "wss://vr.example", "*", ""])
    t.notOk(isOriginPattern(pattern), pattern);
});

t.test("no text outside a pattern's own domain gets in", async (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const origin = `https://${text}`;
      return !isOriginAllowed(["https://*.edge.example"], origin) || /^[^/:@?#.*]+\.edge\.example(:443)?$/i.test(text);
    }),
  );
  t.pass("held");
});
