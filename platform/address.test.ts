import fc from "fast-check";
import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { formatAddress, isLoopbackHost, parseAddress } from "#platform/address.ts";

t.test("addresses survive being written and read", async (t) => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(host, fc.integer({ min: 0, max: 65_535 }), (host, port) => {
        const read = parseAddress(formatAddress({ host, port }));
        return read.host === host && read.port === port;
      }),
    ),
  );
});

t.test("anything else is refused by name", async (t) => {
  for (const text of [
    "",
    "host",
    "host:",
    ":80",
    "host:65536",
    "host:-1",
    "::1:80",
    "[::1]",
    "[1.2.3.4]:80",
    "a b:1",
    "h:1 ",
  ]) {
    t.throws(() => parseAddress(text), { code: "argument-invalid" }, text);
  }
  try {
    parseAddress("nowhere");
  } catch (error) {
    t.ok(isFailure(error));
    t.match(String(error), 'got "nowhere"');
  }
});

t.test("only this machine's own addresses are loopback", async (t) => {
  for (const host of ["127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1"])
    t.ok(isLoopbackHost(host), host);
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example.com"]) {
    t.notOk(isLoopbackHost(host), host);
  }
});
