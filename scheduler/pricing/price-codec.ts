/** How prices are written for other replicas: columns by their names, so that one more is no other form, and a row for each pool. */
import Type from "typebox";
import { Value } from "typebox/value";
import { PRICE_MS_MAX } from "#domain/placement/prices.ts";
import type { Prices } from "./price-source.ts";

/** 4,096 pools with the longest names are some 320 KB. */
export const PRICES_TEXT_BYTES_MAX = 524_288;

interface Column {
  readonly name: string;
  readonly most: number;
}

const PRICE: Column = { name: "priceMs", most: PRICE_MS_MAX };
/** More than any fleet holds. */
const EXPECTED: Column = { name: "expectedSessions", most: 1e9 };
const EXPECTED_DIGITS = 3;

const Written = Type.Object({
  columns: Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { minItems: 1, maxItems: 16 }),
  pools: Type.Record(Type.String({ minLength: 1, maxLength: 256 }), Type.Array(Type.Number(), { maxItems: 16 })),
});

/** The same prices are the same text. */
export function packPrices(byPool: Prices["byPool"]): string {
  return pack(PRICE, byPool);
}

/** Undefined for what are no prices; columns of other names are left out. */
export function parsePrices(text: string): Prices["byPool"] | undefined {
  return parse(PRICE, text);
}

/** To a thousandth of a session. */
export function packExpected(expectedByPool: Prices["expectedByPool"]): string {
  const rounded = [...expectedByPool].map(
    ([pool, sessions]) => [pool, Number(sessions.toFixed(EXPECTED_DIGITS))] as const,
  );
  return pack(EXPECTED, new Map(rounded));
}

/** Undefined for what is none. */
export function parseExpected(text: string): Prices["expectedByPool"] | undefined {
  return parse(EXPECTED, text);
}

function pack({ name }: Column, byPool: ReadonlyMap<string, number>): string {
  const rows = [...byPool].sort(([a], [b]) => (a < b ? -1 : 1)).map(([pool, value]) => [pool, [value]]);
  return JSON.stringify({ columns: [name], pools: Object.fromEntries(rows) });
}

function parse({ name, most }: Column, text: string): Map<string, number> | undefined {
  if (text.length > PRICES_TEXT_BYTES_MAX) return undefined;
  const written = parseJson(text);
  if (!Value.Check(Written, written)) return undefined;
  const column = written.columns.indexOf(name);
  const byPool = new Map<string, number>();
  for (const [pool, row] of Object.entries(written.pools)) {
    const value = row[column];
    if (row.length !== written.columns.length || value === undefined) return undefined;
    if (value < 0 || value > most) return undefined;
    if (value > 0) byPool.set(pool, value);
  }
  return column < 0 ? undefined : byPool;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
