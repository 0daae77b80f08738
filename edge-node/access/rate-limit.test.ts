import fc from "fast-check";
import t from "tap";
import { clientOf, networkOf, PROXIES_MAX } from "./client-address.ts";
import { type RateLimit, refusalFields, takeToken } from "./rate-limit.ts";
import { RateLimiter } from "./rate-limiter.ts";
import { trustedProxiesOf } from "./trusted-proxies.ts";

/** Which of the requests at these times are within the limit: `1`, else the milliseconds to wait. */
function taken(limit: RateLimit, timesMs: readonly number[]): readonly number[] {
  const bucket = { fullAtMs: Number.NEGATIVE_INFINITY };
  return timesMs.map((nowMs) => takeToken(bucket, limit, nowMs));
}

t.test("a burst is allowed at once, then one request each time a token has come, to the millisecond", async (t) => {
  const limit = { requestsPerSecond: 10, burst: 3 };
  t.same(taken(limit, [0, 0, 0, 0]), [0, 0, 0, 100]);
  t.same(taken(limit, [0, 0, 0, 99, 100, 100]), [0, 0, 0, 1, 0, 100], "99 ms are not enough, 100 are");
  t.same(taken(limit, [0, 0, 0, 50, 50, 50, 100]), [0, 0, 0, 50, 50, 50, 0], "a refused request costs nothing");
  t.same(taken(limit, [0, 0, 0, 300, 300, 300, 300]), [0, 0, 0, 0, 0, 0, 100], "full again, and no fuller");
  t.same(taken(limit, [0, 0, 0, 1e9, 1e9, 1e9, 1e9]), [0, 0, 0, 0, 0, 0, 100]);
  t.same(taken({ requestsPerSecond: 0.5, burst: 1 }, [0, 1999, 2000]), [0, 1, 0]);
});

t.test("in no window is more allowed than the burst and what came meanwhile", async (t) => {
  const limits = fc.record({
    requestsPerSecond: fc.integer({ min: 1, max: 1000 }),
    burst: fc.integer({ min: 1, max: 50 }),
  });
  fc.assert(
    fc.property(limits, fc.array(fc.nat(200), { maxLength: 200 }), (limit, gapsMs) => {
      let nowMs = 0;
      const timesMs = gapsMs.map((gapMs) => (nowMs += gapMs));
      const allowedMs = timesMs.filter((_, index) => taken(limit, timesMs)[index] === 0);
      return allowedMs.every((fromMs, first) => {
        const within = allowedMs.filter((_, index) => index >= first);
        return within.every(
          (toMs, index) => index + 1 <= limit.burst + ((toMs - fromMs) * limit.requestsPerSecond) / 1000 + 1e-6,
        );
      });
    }),
    { numRuns: 30 },
  );
  t.pass("every generated case held");
});

t.test("a refusal says when to come back, in whole seconds, and what the limit is", async (t) => {
  t.same(refusalFields({ requestsPerSecond: 100, burst: 200 }, 10), {
    "retry-after": "1",
    ratelimit: '"client";r=0;t=1',
    "ratelimit-policy": '"client";q=200;w=2',
  });
  t.equal(refusalFields({ requestsPerSecond: 0.1, burst: 1 }, 9001)["retry-after"], "10");
});

t.test("each client has a bucket, and only so many have one", async (t) => {
  const limiter = new RateLimiter({ requestsPerSecond: 1, burst: 1 }, 4);
  for (const client of ["a", "b"]) t.equal(limiter.take(client, 0), 0, client);
  for (const client of ["a", "b"]) t.equal(limiter.take(client, 500), 500, client);
  for (let index = 0; index < 1000; index += 1) {
    limiter.take(`other-${index}`, 0);
    if (index % 2 === 0) t.equal(limiter.take("a", 500), 500, "who asks is not forgotten");
    t.ok(limiter.clients <= 4, `${limiter.clients} clients`);
  }
  t.equal(limiter.take("b", 500), 0, "who has not asked for longest is");
});

t.test("an IPv6 client is its /64, an IPv4 client its address", async (t) => {
  for (const [address, client] of [
    ["203.0.113.7", "203.0.113.7"],
    ["::ffff:203.0.113.7", "203.0.113.7"],
    ["::1", "0:0:0:0::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:0DB8:0:1:aaaa::1", "2001:db8:0:1::/64"],
    ["2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"],
    ["2001:db8::", "2001:db8:0:0::/64"],
    ["1:2:3:4::", "1:2:3:4::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ] as const) {
    t.equal(networkOf(address), client, address);
  }
});

t.test("the field of a trusted proxy names the client, as far as trusted proxies lead to it", async (t) => {
  const proxies = trustedProxiesOf("X-Forwarded-For", ["10.0.0.0/8", "2001:db8::/32"]);
  const of = (peer: string, ...values: string[]) => clientOf(peer, values, proxies);
  t.equal(proxies.field, "x-forwarded-for");
  t.equal(of("10.0.0.1", "203.0.113.7"), "203.0.113.7");
  t.equal(of("::ffff:10.0.0.1", "203.0.113.7:4711"), "203.0.113.7");
  t.equal(of("2001:db8::9", "[2a00::1]:80"), "2a00:0:0:0::/64");
  t.equal(of("10.0.0.1", "6.6.6.6, 203.0.113.7, 10.0.0.2"), "203.0.113.7", "what stands left is anybody's word");
  t.equal(of("10.0.0.1", "6.6.6.6", "203.0.113.7"), "203.0.113.7");
  t.equal(of("203.0.113.7", "6.6.6.6"), "203.0.113.7", "nobody is believed who is not trusted");
  t.equal(of("10.0.0.1"), "10.0.0.1");
  t.equal(of("10.0.0.1", "unknown"), "10.0.0.1");
  t.equal(of("10.0.0.1", "6.6.6.6, unknown, 10.0.0.3"), "10.0.0.3");
  t.equal(of("10.0.0.1", `6.6.6.6${", 10.0.0.2".repeat(PROXIES_MAX)}`), "10.0.0.2", "only so many are looked through");
  t.equal(clientOf("10.0.0.1", undefined, proxies), "10.0.0.1");
  for (const network of ["10.0.0.0/33", "x", "10.0.0.0/8/8", "::/129", ""]) {
    t.throws(() => trustedProxiesOf("x-forwarded-for", [network]), { code: "config-invalid" }, network);
  }
  t.throws(
    () =>
      trustedProxiesOf(
        "x-forwarded-for",
        Array.from({ length: 65 }, () => "10.0.0.0/8"),
      ),
    {
      code: "config-invalid",
    },
  );
});
