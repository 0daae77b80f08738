import fc from "fast-check";
import t from "tap";
import { CONTENT_CODINGS, type ContentCoding, negotiateEncoding, withVaryOnEncoding } from "./content-coding.ts";
import { fieldsOf } from "./fields.ts";

t.test("the coding that is wanted most and available is chosen, the smallest among equals", async (t) => {
  for (const [field, available, chosen] of [
    [undefined, CONTENT_CODINGS, "identity"],
    ["", CONTENT_CODINGS, "identity"],
    ["gzip, deflate, br, zstd", CONTENT_CODINGS, "br"],
    ["gzip, deflate, br, zstd", ["gzip"], "gzip"],
    ["gzip, deflate, br, zstd", [], "identity"],
    ["gzip", CONTENT_CODINGS, "gzip"],
    ["x-gzip", CONTENT_CODINGS, "gzip"],
    ["GZIP;Q=0.5 , Br ; q=0.4", CONTENT_CODINGS, "gzip"],
    ["br;q=0, gzip;q=0", CONTENT_CODINGS, "identity"],
    ["*", CONTENT_CODINGS, "br"],
    ["*;q=0", CONTENT_CODINGS, "identity"],
    ["br;q=0, *", CONTENT_CODINGS, "zstd"],
    ["gzip;q=0.001", CONTENT_CODINGS, "gzip"],
    ["identity, gzip;q=0.5", CONTENT_CODINGS, "identity"],
    ["identity;q=0.5, gzip;q=0.5", CONTENT_CODINGS, "gzip"],
    ["identity;q=0, gzip", CONTENT_CODINGS, "gzip"],
    ["identity;q=0", CONTENT_CODINGS, "identity"],
    ["deflate, compress", CONTENT_CODINGS, "identity"],
    ["gzip;q=1.5, br;q=2", CONTENT_CODINGS, "identity"],
    ["gzip;q=x, br;level=1, zstd;q=0.1;x=1", CONTENT_CODINGS, "identity"],
  ] as const) {
    t.equal(negotiateEncoding(field, available), chosen, `${field} of ${available}`);
  }
});

const weights = fc.integer({ min: 0, max: 1000 }).map((thousandths) => thousandths / 1000);
const wishes = fc.uniqueArray(fc.tuple(fc.constantFrom("br", "zstd", "gzip", "identity", "*", "deflate"), weights), {
  selector: ([name]) => name,
});
const availables = fc.subarray([...CONTENT_CODINGS]);

t.test("no coding is chosen that is not available, not wanted, or wanted less than another", async (t) => {
  fc.assert(
    fc.property(wishes, availables, (wanted, available) => {
      const field = wanted.map(([name, weight]) => `${name};q=${weight}`).join(", ");
      const chosen = negotiateEncoding(field, available);
      const named = new Map<string, number>(wanted);
      const weightOf = (coding: ContentCoding) => named.get(coding) ?? named.get("*") ?? 0;
      const greatest = Math.max(0, ...available.map(weightOf));
      const identity = named.get("identity") ?? 0;
      if (chosen === "identity") return greatest === 0 || identity > greatest;
      return available.includes(chosen) && weightOf(chosen) === greatest && greatest > 0 && greatest >= identity;
    }),
  );
  t.pass("every generated case held");
});

t.test("neither the order of the wishes nor their case and spaces matter", async (t) => {
  fc.assert(
    fc.property(wishes, availables, fc.boolean(), (wanted, available, isLoud) => {
      const plain = wanted.map(([name, weight]) => `${name};q=${weight}`);
      const other = plain.toReversed().join(" ,, ").replaceAll(";", " ; ");
      return (
        negotiateEncoding(plain.join(","), available) ===
        negotiateEncoding(isLoud ? other.toUpperCase() : other, available)
      );
    }),
  );
  fc.assert(
    fc.property(fc.string(), availables, (text, available) =>
      ["identity", ...available].includes(negotiateEncoding(text, available)),
    ),
  );
  t.pass("every generated case held");
});

t.test("what is negotiated says so, once", async (t) => {
  const of = (...vary: string[]) => withVaryOnEncoding(fieldsOf(vary.flatMap((value) => ["Vary", value]))).get("vary");
  t.same(of(), ["Accept-Encoding"]);
  t.same(of("Accept-Language", "Cookie"), ["Accept-Language, Cookie, Accept-Encoding"]);
  t.same(of("cookie, ACCEPT-encoding"), ["cookie, ACCEPT-encoding"]);
  t.same(of("*"), ["*"]);
});
