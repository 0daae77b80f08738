import fc from "fast-check";
import t from "tap";
import {
  formatSignature,
  parseSignature,
  SIGNED_LIFETIME_SECONDS_MAX,
  type SignedTerms,
  statementOf,
  withSignature,
} from "#domain/access/signed-url.ts";
import { fieldsOf } from "#domain/http/fields.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { type AccessDecision, CLOCK_SKEW_SECONDS_MAX, decideAccess } from "./access-decision.ts";
import { type ProvingKey, proofOf, proofsOf, publicKeyOf, type VerifyingKey } from "./signing-keys.ts";

const NOW_MS = Date.UTC(2026, 10, 24);
const NOW_SECONDS = NOW_MS / 1000;
const pair = generateSigningKey();
const secret = Buffer.alloc(32, 7);
const proving: Readonly<Record<string, ProvingKey>> = {
  asymmetric: { algorithm: "ed25519", key: pair },
  shared: { algorithm: "hmac-sha-256", secret },
};
const verifying: readonly VerifyingKey[] = [
  { algorithm: "ed25519", keyId: "asymmetric", publicKey: pair.publicKey },
  { algorithm: "hmac-sha-256", keyId: "shared", secret },
];
const access = { site: "shop", paths: ["/private/*", "/one"], isProof: proofsOf(verifying) };
const CLIENT = "203.0.113.7";

function termsOf(more: Partial<SignedTerms> = {}): SignedTerms {
  return { expiresAtSeconds: NOW_SECONDS + 60, keyId: "shared", ...more };
}

function sign(target: string, terms: SignedTerms, site = "shop") {
  const key = proving[terms.keyId] ?? { algorithm: "hmac-sha-256", secret: Buffer.alloc(32, 8) };
  return { ...terms, proof: proofOf(statementOf(site, target, terms), key) };
}

function ask(target: string, { cookies = [] as readonly string[], client = CLIENT, nowMs = NOW_MS } = {}) {
  const fields = fieldsOf([...cookies.flatMap((cookie) => ["Cookie", cookie]), "Accept", "*/*"]);
  return decideAccess({ target, fields, client }, access, nowMs);
}

function seen(decision: AccessDecision): string {
  return decision.kind === "allowed" ? decision.target : decision.why;
}

const paths = fc
  .array(
    fc.stringMatching(/^[A-Za-z0-9._~!$&'()*+,=:@-]{1,8}$/).filter((segment) => !/^\.+$/.test(segment)),
    {
      minLength: 1,
      maxLength: 4,
    },
  )
  .map((segments) => `/private/${segments.join("/")}`);
const parameters = fc.array(fc.stringMatching(/^[a-z]{1,4}=[A-Za-z0-9%+.-]{0,6}$/), { maxLength: 4 });
const keyIds = fc.constantFrom("asymmetric", "shared");

t.test("what was signed is allowed, wherever in the query the signature stands, and goes on without it", async (t) => {
  fc.assert(
    fc.property(paths, parameters, keyIds, fc.nat(4), (path, others, keyId, place) => {
      const target = others.length === 0 ? path : `${path}?${others.join("&")}`;
      const written = `perigee-signature=${formatSignature(sign(target, termsOf({ keyId })))}`;
      const query = [...others.slice(0, place), written, ...others.slice(place)].join("&");
      return seen(ask(`${path}?${query}`)) === target;
    }),
  );
  t.equal(seen(ask(withSignature("/private/a?b", sign("/private/a?b", termsOf())))), "/private/a?b");
  t.equal(seen(ask(`http://shop.example${withSignature("/private/a", sign("/private/a", termsOf()))}`)), "/private/a");
});

t.test("any changed character of path, query or signature is refused, and so is another order", async (t) => {
  fc.assert(
    fc.property(paths, keyIds, fc.nat(), fc.stringMatching(/^[A-Za-z0-9_.*-]$/), (path, keyId, at, character) => {
      const signed = withSignature(`${path}?a=1&b=2`, sign(`${path}?a=1&b=2`, termsOf({ keyId })));
      const place = "/private/".length + (at % (signed.length - "/private/".length));
      const changed = `${signed.slice(0, place)}${character}${signed.slice(place + 1)}`;
      return changed === signed || /^signature-(missing|invalid)$/.test(seen(ask(changed)));
    }),
    { numRuns: 400 },
  );
  const signature = formatSignature(sign("/private/a?x=1&y=2", termsOf()));
  t.equal(seen(ask(`/private/a?y=2&x=1&perigee-signature=${signature}`)), "signature-invalid");
  t.equal(seen(ask(`/private/a?x=1&y=2&z&perigee-signature=${signature}`)), "signature-invalid");
});

t.test("a signature is of one site, key, client and time", async (t) => {
  const of = (terms: Partial<SignedTerms>, site?: string) =>
    withSignature("/private/a", sign("/private/a", termsOf(terms), site));
  t.equal(seen(ask("/private/a")), "signature-missing");
  t.equal(seen(ask(of({}, "other"))), "signature-invalid", "another site's");
  t.equal(seen(ask(of({ keyId: "unknown" }))), "signature-invalid", "a key that the site does not have");
  t.equal(seen(ask(of({ client: CLIENT }))), "/private/a");
  t.equal(seen(ask(of({ client: CLIENT }), { client: "203.0.113.8" })), "signature-invalid");
  const last = NOW_MS + (60 + CLOCK_SKEW_SECONDS_MAX) * 1000;
  t.equal(seen(ask(of({}), { nowMs: last })), "/private/a");
  t.equal(seen(ask(of({}), { nowMs: last + 1 })), "signature-expired");
  const forged = of({}).replace(/.$/, (end) => (end === "A" ? "B" : "A"));
  t.equal(seen(ask(forged, { nowMs: last + 1 })), "signature-invalid", "who cannot sign is not told of the time");
  const far = NOW_SECONDS + SIGNED_LIFETIME_SECONDS_MAX + CLOCK_SKEW_SECONDS_MAX;
  t.equal(seen(ask(of({ expiresAtSeconds: far }))), "/private/a");
  t.equal(seen(ask(of({ expiresAtSeconds: far + 1 }))), "signature-invalid");
});

t.test("a proof that was good once is good for what it is of, in its one spelling", async (t) => {
  const signature = sign("/private/a", termsOf({ keyId: "asymmetric" }));
  for (const turn of [1, 2]) t.equal(seen(ask(withSignature("/private/a", signature))), "/private/a", `turn ${turn}`);
  t.equal(seen(ask(withSignature("/private/b", signature))), "signature-invalid");
  const bytes = Buffer.from(signature.proof, "base64url");
  const ends = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"];
  const spellings = ends.map((end) => `${signature.proof.slice(0, -1)}${end}`);
  const same = spellings.filter((proof) => Buffer.from(proof, "base64url").equals(bytes));
  t.ok(same.length > 1, "base64url has bits that say nothing");
  const good = same.filter((proof) => seen(ask(withSignature("/private/a", { ...signature, proof }))) === "/private/a");
  t.same(good, [signature.proof]);
});

t.test("a prefix is good for what is under it, and for nothing that leaves it", async (t) => {
  const signature = formatSignature(sign("", termsOf({ prefix: "/private/films/" })));
  const under = (path: string) => seen(ask(`${path}${path.includes("?") ? "&" : "?"}perigee-signature=${signature}`));
  t.equal(under("/private/films/1/part.ts?x=1"), "/private/films/1/part.ts?x=1");
  t.equal(under("/private/%66ilms/1"), "/private/%66ilms/1", "the same path in another spelling");
  for (const path of [
    "/private/films",
    "/private/other",
    "/private/films/../other",
    "/private/films/%2e%2E/other",
    "/private/films/..%2fother",
    "/private/films/%252e%252e/other",
    "/private/films//other",
    "/private/films/..;/other",
    "/private/films/\\..\\other",
    "/private/films/%5c..",
    "/private/films/%zz",
  ]) {
    t.equal(under(path), "signature-invalid", path);
  }
});

t.test("a path needs a signature in every spelling that some server reads as one that does", async (t) => {
  for (const path of [
    "/private/a",
    "/%70rivate/a",
    "/x/../private/a",
    "/x/%2E./private/a",
    "//private/a",
    "/private%2Fa",
    "/private;x=1/a",
    "/%2570rivate/a",
    "/one",
    "/on%65",
    "/one%00",
    "/one#",
    "http://shop.example/one",
    "one",
    "*",
  ]) {
    t.equal(seen(ask(path)), "signature-missing", path);
  }
  for (const path of ["/", "/ones", "/public/a?x=/private/", "/private", "/100%25"]) t.equal(seen(ask(path)), path);
  t.equal(seen(ask("/public?perigee-signature=x&a=1")), "/public?a=1", "never in the key");
});

t.test("a cookie does as well, one of several, and is taken out of what goes on", async (t) => {
  const good = formatSignature(sign("", termsOf({ prefix: "/private/" })));
  const old = formatSignature(sign("", termsOf({ prefix: "/private/", expiresAtSeconds: 1 })));
  const cookiesOf = (...cookies: string[]) => {
    const decision = ask("/private/a", { cookies });
    return decision.kind === "allowed" ? (decision.fields.get("cookie") ?? "none") : decision.why;
  };
  t.same(cookiesOf(`perigee-signature=${good}`), "none");
  t.same(cookiesOf(`a=1; perigee-signature=${good};b=2`), ["a=1;b=2"]);
  t.same(cookiesOf(`perigee-signature=${old}; perigee-signature=${good}`, "a=1"), ["a=1"]);
  t.same(cookiesOf(`perigee-signature=${old}`), "signature-expired");
  const many = Array.from({ length: 4 }, () => `perigee-signature=${old}`).join("; ");
  t.same(cookiesOf(`${many}; perigee-signature=${good}`), "signature-expired", "only four are looked at");
  t.same(cookiesOf("not-perigee-signature=x"), "signature-missing");
});

t.test("whatever a request carries is decided, and without rules passes as it is", async (t) => {
  const anything = fc.oneof(
    fc.string(),
    fc.string({ unit: "grapheme" }),
    fc.string().map((text) => `/private/${text}`),
  );
  fc.assert(
    fc.property(anything, fc.string(), (target, cookie) => {
      const cookies = [`perigee-signature=${cookie}`];
      const decision = ask(target, { cookies });
      const open = decideAccess({ target, fields: fieldsOf([]), client: CLIENT }, undefined, NOW_MS);
      return ["allowed", "refused"].includes(decision.kind) && open.kind === "allowed" && open.target === target;
    }),
  );
  t.pass("every generated case held");
});

t.test("there is one way to write a signature", async (t) => {
  const clients = fc.option(fc.stringMatching(/^[0-9a-f:./]{1,20}$/), { nil: undefined });
  const prefixes = fc.option(paths, { nil: undefined });
  fc.assert(
    fc.property(clients, prefixes, fc.integer({ min: 1, max: 1e11 }), (client, prefix, expiresAtSeconds) => {
      const terms = { ...(client === undefined ? {} : { client }), ...(prefix === undefined ? {} : { prefix }) };
      const signature = { ...termsOf({ expiresAtSeconds }), ...terms, proof: "A".repeat(43) };
      t.same(parseSignature(formatSignature(signature)), signature, JSON.stringify(signature));
    }),
    { numRuns: 50 },
  );
  const proof = "A".repeat(43);
  for (const text of [
    "",
    `2.1.k...${proof}`,
    `1.01.k...${proof}`,
    `1.1.K...${proof}`,
    `1.1.k.*2f..${proof}`,
    `1.1.k.*41..${proof}`,
    `1.1.k...${proof}=`,
    `1.1.k...${proof}.`,
    `1.1.k.${"*2F".repeat(400)}..${proof}`,
  ]) {
    t.equal(parseSignature(text), undefined, text);
  }
});

t.test("a key is read from its 32 octets, and only from them", async (t) => {
  const { x = "" } = pair.publicKey.export({ format: "jwk" });
  t.ok(publicKeyOf(x).equals(pair.publicKey));
  for (const text of ["", "abc", `${x}${x}`]) t.throws(() => publicKeyOf(text), { code: "signature-invalid" }, text);
});
