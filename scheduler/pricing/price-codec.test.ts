import fc from "fast-check";
import t from "tap";
import { PRICE_MS_MAX } from "#domain/placement/prices.ts";
import { POOLS_PRICED_MAX } from "./demand-problem.ts";
import { PRICES_TEXT_BYTES_MAX, packExpected, packPrices, parseExpected, parsePrices } from "./price-codec.ts";

const price = fc.integer({ min: 1, max: 8 * PRICE_MS_MAX }).map((eighths) => eighths / 8);
const prices = fc.dictionary(fc.stringMatching(/^[a-z0-9]{1,20}$/), price).map((byPool) => Object.entries(byPool));

t.test("prices are read as they were written, and the same ones are the same text in any order", async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(prices, (entries) => {
        const text = packPrices(new Map(entries));
        const read = parsePrices(text);
        const isSame = entries.every(([pool, priceMs]) => read?.get(pool) === priceMs) && read?.size === entries.length;
        return isSame && packPrices(new Map(entries.toReversed())) === text;
      }),
    ),
  );
});

t.test("what is expected is read as it was written, to a thousandth", async (t) => {
  const text = packExpected(
    new Map([
      ["near", 12.345678],
      ["far", 0.0001],
    ]),
  );
  t.same(parseExpected(text), new Map([["near", 12.346]]));
  t.equal(parsePrices(text), undefined, "it is no price");
  t.equal(parseExpected(packPrices(new Map([["near", 1]]))), undefined);
});

t.test("a column that is not known here is left out", async (t) => {
  const text = '{"columns":["expected","priceMs"],"pools":{"near":[12,4.5],"far":[3,0]}}';
  t.same(parsePrices(text), new Map([["near", 4.5]]));
});

t.test("what are no prices are none", async (t) => {
  for (const text of [
    ...["", "{", "[]", "{}", '{"columns":[],"pools":{}}', '{"columns":["priceMs"]}'],
    '{"columns":["expected"],"pools":{"near":[4]}}',
    '{"columns":["priceMs"],"pools":{"near":[]}}',
    '{"columns":["priceMs"],"pools":{"near":[1,2]}}',
    '{"columns":["priceMs"],"pools":{"near":["4"]}}',
    '{"columns":["priceMs"],"pools":{"near":[-1]}}',
    `{"columns":["priceMs"],"pools":{"near":[${PRICE_MS_MAX + 1}]}}`,
  ])
    t.equal(parsePrices(text), undefined, text);
  t.doesNotThrow(() => fc.assert(fc.property(fc.json(), (text) => parsePrices(text) === undefined)));
});

t.test("the longest names of the most pools fit, and a longer text is not read", async (t) => {
  const names = Array.from({ length: POOLS_PRICED_MAX }, (_, index) => `${index}`.padStart(63, "p"));
  const text = packPrices(new Map(names.map((pool) => [pool, 123.125])));
  t.equal(parsePrices(text)?.size, POOLS_PRICED_MAX);
  t.equal(parsePrices(text.padEnd(PRICES_TEXT_BYTES_MAX))?.size, POOLS_PRICED_MAX);
  t.equal(parsePrices(text.padEnd(PRICES_TEXT_BYTES_MAX + 1)), undefined);
});
