import fc from "fast-check";
import t from "tap";
import { parseCacheControl } from "#domain/http/cache-control.ts";
import { formatHttpDate } from "#domain/http/date.ts";
import { type Fields, fieldsOf } from "#domain/http/fields.ts";
import { currentAgeSeconds, DISCONNECTED_STALE_SECONDS_MAX, decideLookup, decideOnFailure } from "./lookup.ts";
import {
  CLIENT_ERROR_SECONDS_MAX,
  decideStorage,
  type Freshness,
  HEURISTIC_SECONDS_MAX,
  SERVER_ERROR_SECONDS_MAX,
  type StorageDecision,
} from "./storage.ts";
import { selectVariant, variantKey, varyNames } from "./variants.ts";

const NOW = Date.UTC(2026, 10, 24);
const get = { method: "GET", fields: fieldsOf([]) };

function response(raw: readonly string[], status = 200) {
  return { status, fields: fieldsOf(raw), requestedAtMs: NOW - 1000, receivedAtMs: NOW };
}

function storage(raw: readonly string[], status = 200): StorageDecision {
  return decideStorage(get, response(raw, status));
}

function stored(cacheControl: string, ...more: string[]): Freshness {
  const decision = storage(["cache-control", cacheControl, ...more]);
  if (decision.kind === "pass") throw new Error(decision.because);
  return decision.freshness;
}

const ask = (text = "") => parseCacheControl(text);
const after = (seconds: number) => NOW + seconds * 1000;

t.test("what may be stored by a shared cache, and for how long it is fresh", async (t) => {
  const date = formatHttpDate(NOW);
  const cases: [readonly string[], number, number | string][] = [
    [["cache-control", "max-age=60"], 200, 60],
    [["cache-control", "max-age=60, s-maxage=10"], 200, 10],
    [["cache-control", "s-maxage=10", "expires", formatHttpDate(NOW + 60_000)], 200, 10],
    [["date", date, "expires", formatHttpDate(NOW + 60_000)], 200, 60],
    [["expires", "0"], 200, 0],
    [["cache-control", "max-age=nonsense"], 200, 0],
    [["date", date, "last-modified", formatHttpDate(NOW - 1_000_000)], 200, 100],
    [["date", date, "last-modified", formatHttpDate(0)], 200, HEURISTIC_SECONDS_MAX],
    [["cache-control", "max-age=60"], 302, 60],
    [["last-modified", formatHttpDate(0)], 302, "no-freshness"],
    [["etag", '"a"'], 200, 0],
    [[], 200, "no-freshness"],
    [["cache-control", "no-store, max-age=60"], 200, "no-store"],
    [["cache-control", "private, max-age=60"], 200, "private"],
    [["cache-control", "max-age=60", "set-cookie", "a=b"], 200, "set-cookie"],
    [["cache-control", "public, max-age=60", "set-cookie", "a=b"], 200, "set-cookie"],
    [["cache-control", 'max-age=60, no-cache="set-cookie"', "set-cookie", "a=b"], 200, 60],
    [["cache-control", "no-store, must-understand, max-age=60"], 200, 60],
    [["cache-control", "must-understand, max-age=60"], 599, "status"],
    [["cache-control", "max-age=60"], 299, 60],
    [["cache-control", "max-age=86400"], 404, CLIENT_ERROR_SECONDS_MAX],
    [["cache-control", "max-age=86400"], 503, SERVER_ERROR_SECONDS_MAX],
    [["cache-control", "max-age=5"], 503, 5],
    [["cache-control", "no-store", "cdn-cache-control", "max-age=60"], 200, 60],
    [["cache-control", "max-age=60", "cdn-cache-control", "no-store"], 200, "no-store"],
    [["cdn-cache-control", "max-age=5", "expires", formatHttpDate(NOW + 60_000)], 200, 5],
    [["cdn-cache-control", "max-age=5", "perigee-cdn-cache-control", "max-age=7"], 200, 7],
    [["cache-control", "max-age=60", "cdn-cache-control", "max-age=5, &&"], 200, 60],
    [["cache-control", "max-age=60", "cdn-cache-control", ""], 200, 60],
    [["cache-control", "max-age=60", "vary", "*"], 200, "vary"],
    [["cache-control", "max-age=60"], 206, "status"],
  ];
  for (const [raw, status, expected] of cases) {
    const decision = storage(raw, status);
    t.equal(
      decision.kind === "store" ? decision.freshness.lifetimeSeconds : decision.because,
      expected,
      `${status} ${raw.join(": ")}`,
    );
  }
});

t.test("a response to an authorised request is stored only where it says it is for all", async (t) => {
  const request = { method: "GET", fields: fieldsOf(["authorization", "Basic x"]) };
  const kindFor = (cacheControl: string) => decideStorage(request, response(["cache-control", cacheControl])).kind;
  t.equal(kindFor("max-age=60"), "pass");
  for (const named of ["public, max-age=60", "s-maxage=60", "must-revalidate, max-age=60"])
    t.equal(kindFor(named), "store", named);
  t.equal(
    decideStorage({ method: "POST", fields: get.fields }, response(["cache-control", "max-age=60"])).kind,
    "pass",
  );
  t.equal(
    decideStorage(
      { method: "GET", fields: fieldsOf(["cache-control", "no-store"]) },
      response(["cache-control", "max-age=60"]),
    ).kind,
    "pass",
  );
  t.equal(decideStorage(get, response(["cache-control", "max-age=60"]), { bypass: true }).kind, "pass");
  const withCookie = response(["cache-control", "max-age=60", "set-cookie", "a=b"]);
  t.equal(decideStorage(get, withCookie, { shareSetCookie: true }).kind, "store", "where a rule says so");
  t.match(decideStorage(get, response([]), { freshnessSeconds: 5 }), {
    kind: "store",
    freshness: { lifetimeSeconds: 5 },
  });
});

t.test("fields of one connection, and those that no-cache and private name, are not stored", async (t) => {
  const raw = ["connection", "x-hop", "x-hop", "1", "x-a", "1", "x-b", "2", "x-c", "3"];
  const decision = storage(["cache-control", 'max-age=60, no-cache="X-A", private="x-b"', ...raw]);
  t.strictSame(decision.kind === "store" ? [...decision.fields.keys()] : decision, ["cache-control", "x-c"]);
});

t.test("age counts the way so far, the clocks' difference and the time here", async (t) => {
  t.equal(currentAgeSeconds(stored("max-age=60", "age", "20"), after(5)), 26, "20 stated + 1 on the way + 5 here");
  t.equal(currentAgeSeconds(stored("max-age=60", "date", formatHttpDate(NOW - 30_000)), after(5)), 35);
  for (const invalid of ["nonsense", "-7", "7.0", ""])
    t.equal(currentAgeSeconds(stored("max-age=60", "age", invalid), after(0)), 1, invalid);
  t.equal(currentAgeSeconds(stored("max-age=60", "age", "20, 5"), after(0)), 21, "of several the first");
  t.equal(currentAgeSeconds(stored("max-age=60", "age", "20", "age", "5"), after(0)), 21);
});

t.test("fresh is served, stale validated, and what the user agent insists on is kept", async (t) => {
  const minute = stored("max-age=60");
  t.match(decideLookup(minute, ask(), after(10)), { kind: "serve", ageSeconds: 11 });
  t.match(decideLookup(minute, ask(), after(60)), { kind: "validate", because: "stale" });
  t.match(decideLookup(minute, ask("no-cache"), after(10)), { kind: "validate", because: "request" });
  t.match(decideLookup(minute, ask("max-age=5"), after(10)), { kind: "validate", because: "request" });
  t.match(decideLookup(minute, ask("min-fresh=55"), after(10)), { kind: "validate", because: "request" });
  t.match(decideLookup("uri-miss", ask(), NOW), { kind: "forward", because: "uri-miss" });
  t.match(decideLookup("vary-miss", ask(), NOW), { kind: "forward", because: "vary-miss" });
  t.match(decideLookup("uri-miss", ask("only-if-cached"), NOW), { kind: "refuse" });
  t.match(decideLookup(minute, ask("only-if-cached"), after(10)), { kind: "serve" });
  t.match(decideLookup(stored("no-cache, max-age=60"), ask(), NOW), { kind: "validate" });
});

t.test("a user agent gets what is stale where it asks for it, and the response does not forbid it", async (t) => {
  const minute = stored("max-age=60");
  t.match(decideLookup(minute, ask("max-stale"), after(5000)), { kind: "serve" });
  t.match(decideLookup(minute, ask("max-stale=20"), after(70)), { kind: "serve" });
  t.match(decideLookup(minute, ask("max-stale=5"), after(70)), { kind: "validate" });
  t.match(decideLookup(minute, ask("max-stale=x"), after(70)), { kind: "validate" });
  for (const forbidding of ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60"])
    t.match(decideLookup(stored(`max-age=60, ${forbidding}`), ask("max-stale"), after(70)), { kind: "validate" });
});

t.test("stale-while-revalidate serves at once and refreshes behind, within its window only", async (t) => {
  const lenient = stored("max-age=60, stale-while-revalidate=30");
  t.match(decideLookup(lenient, ask(), after(80)), { kind: "serve-stale-and-revalidate" });
  t.match(decideLookup(lenient, ask(), after(95)), { kind: "validate" });
  t.match(decideLookup(stored("max-age=60, stale-while-revalidate=30, must-revalidate"), ask(), after(80)), {
    kind: "validate",
  });
});

t.test("when the upstream fails, stale is served as the response or the Site allow by name", async (t) => {
  const cases: [string, object, number, string][] = [
    ["max-age=60, stale-if-error=30", {}, 80, "stale-if-error"],
    ["max-age=60, stale-if-error=30", {}, 200, "too-stale"],
    ["max-age=60", {}, 80, "forbidden"],
    ["max-age=60", { maxStaleSeconds: 0 }, 80, "too-stale"],
    ["max-age=60", { maxStaleSeconds: 3600 }, 80, "max-stale"],
    ["s-maxage=60", {}, 80, "forbidden"],
    ["s-maxage=60", { maxStaleSeconds: 3600 }, 80, "max-stale"],
    ["s-maxage=60, stale-if-error=30", {}, 80, "stale-if-error"],
    ["max-age=60, must-revalidate", { maxStaleSeconds: 3600 }, 80, "forbidden"],
    ["max-age=60, proxy-revalidate, stale-if-error=999", {}, 80, "forbidden"],
    ["max-age=60", { maxStaleSeconds: 3600, cutOffSeconds: 11, denyAfterSeconds: 10 }, 80, "denied"],
  ];
  for (const [cacheControl, bounds, seconds, because] of cases) {
    t.equal(
      decideOnFailure(stored(cacheControl), "server-error", bounds, after(seconds)).because,
      because,
      `${cacheControl} ${JSON.stringify(bounds)} +${seconds}`,
    );
  }
});

t.test("without a name for it, stale is served only while nobody answers", async (t) => {
  const cases: [string, object, number, string][] = [
    ["max-age=60", {}, 80, "disconnected"],
    ["max-age=60", {}, DISCONNECTED_STALE_SECONDS_MAX + 59, "disconnected"],
    ["max-age=60", {}, DISCONNECTED_STALE_SECONDS_MAX + 60, "too-stale"],
    ["max-age=60", { disconnectedStaleSeconds: 10 }, 80, "too-stale"],
    ["max-age=60, stale-if-error=5", {}, 80, "too-stale"],
    ["max-age=60", { maxStaleSeconds: 10 }, 80, "too-stale"],
    ["s-maxage=60", {}, 80, "forbidden"],
    ["max-age=60, must-revalidate", {}, 80, "forbidden"],
    ["max-age=60, proxy-revalidate", {}, 80, "forbidden"],
    ["max-age=60, no-cache", {}, 80, "forbidden"],
  ];
  for (const [cacheControl, bounds, seconds, because] of cases) {
    const decision = decideOnFailure(stored(cacheControl), "disconnected", bounds, after(seconds));
    t.equal(decision.because, because, `${cacheControl} ${JSON.stringify(bounds)} +${seconds}`);
  }
});

t.test("nothing marked never-stale is served stale, whatever else is said", async (t) => {
  const directive = fc.constantFrom(
    "max-age=5",
    "s-maxage=5",
    "stale-if-error=99",
    "stale-while-revalidate=99",
    "public",
  );
  fc.assert(
    fc.property(
      fc.subarray(["must-revalidate", "proxy-revalidate", "no-cache"], { minLength: 1 }),
      fc.array(directive),
      fc.integer({ min: 6, max: 90 }),
      (never, others, seconds) => {
        const freshness = stored(["max-age=5", ...others, ...never].join(", "));
        const lookup = decideLookup(freshness, ask(), after(seconds));
        return (
          lookup.kind === "validate" &&
          decideOnFailure(freshness, "disconnected", { maxStaleSeconds: 1e6 }, after(seconds)).kind === "fail"
        );
      },
    ),
  );
  t.pass("every generated case held");
});

t.test("a variant is told by the fields that Vary names, whatever their order", async (t) => {
  const names = varyNames(fieldsOf(["vary", "Accept-Encoding, accept-language", "Vary", "accept-encoding"]));
  t.strictSame(names, ["accept-encoding", "accept-language"]);
  const key = (...raw: string[]) => variantKey(names, fieldsOf(raw) satisfies Fields);
  t.equal(key("accept-encoding", "gzip, br"), key("Accept-Encoding", "br,gzip"));
  t.not(key("accept-encoding", "gzip"), key("accept-encoding", "br"));
  t.not(key("accept-encoding", "gzip;q=0"), key("accept-encoding", "gzip"));
  t.equal(key(), key("accept", "x"));
});

t.test("a variant in the language that is wanted most answers, however the wish is written", async (t) => {
  const stored = (language: string, asked: readonly string[]) => {
    const names = ["accept-encoding", "accept-language"];
    const variant = variantKey(names, fieldsOf(asked));
    return { varyNames: names, variant, fields: fieldsOf(["content-language", language]) };
  };
  const german = stored("de", ["accept-language", "en, de"]);
  const select = (...raw: string[]) => selectVariant([german], fieldsOf(raw));
  t.equal(select("accept-language", "de, en"), german);
  t.equal(select("accept-language", "fr;q=0.5, DE;q=1.0"), german);
  for (const other of ["fr, de", "de;q=0.5, fr;q=0.6", "*", "de-AT", "de;q=0"])
    t.equal(select("accept-language", other), undefined, other);
  t.equal(select("accept-language", "de", "accept-encoding", "br"), undefined, "all other fields as they were");
});
