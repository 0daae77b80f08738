/** Which codes are those of countries (ISO 3166-1 alpha-2), by the names that the runtime has of regions. Pure. */

const NAMES = new Intl.DisplayNames("en", { type: "region", fallback: "none" });

/** Named there too: unions, parts of countries, and regions of tests. No client is located in them. */
const NO_COUNTRIES: ReadonlySet<string> = new Set([
  ...["EU", "EZ", "UN", "QO", "ZZ", "XA", "XB"],
  ...["AC", "CP", "CQ", "DG", "EA", "IC", "TA"],
]);

export type CountryCheck =
  | { readonly kind: "country" }
  /** With the one that stands for it now, where there is one. */
  | { readonly kind: "none"; readonly meant?: string };

/** Of two capital letters. */
export function checkCountry(code: string): CountryCheck {
  const meant = new Intl.Locale(`und-${code}`).region;
  if (meant !== undefined && meant !== code) return { kind: "none", meant };
  return NAMES.of(code) === undefined || NO_COUNTRIES.has(code) ? { kind: "none" } : { kind: "country" };
}
