/** Which stored variant answers a request: keys made of the fields that Vary names (RFC 9111 section 4.1). Pure. */
import { type Fields, fieldValue, listMembers, splitList } from "#domain/http/fields.ts";

/** Names in lower case, sorted, without repetition. */
export function varyNames(response: Fields): readonly string[] {
  const names = listMembers(fieldValue(response, "vary") ?? "").map((name) => name.toLowerCase());
  return [...new Set(names)].sort();
}

/** Equal for requests that the stored response was negotiated alike for. */
export function variantKey(names: readonly string[], request: Fields): string {
  return names.map((name) => variantOf(name, fieldValue(request, name))).join("\n");
}

export interface Variant {
  readonly varyNames: readonly string[];
  /** The key of the request that it answered. */
  readonly variant: string;
  readonly fields: Fields;
}

/** The latest that was negotiated as this request would be; else one in the very language that it wants most. */
export function selectVariant<T extends Variant>(variants: readonly T[], request: Fields): T | undefined {
  return (
    variants.findLast(({ varyNames, variant }) => variant === keyOf(varyNames, request)) ??
    variants.findLast((stored) => isInWantedLanguage(stored, request))
  );
}

/** Most responses vary by nothing: a hit on them is to cost nothing here. */
function keyOf(names: readonly string[], request: Fields): string {
  return names.length === 0 ? "" : variantKey(names, request);
}

/** An upstream that has the language which a request wants most would choose it, however the request says so. */
function isInWantedLanguage({ varyNames, variant, fields }: Variant, request: Fields): boolean {
  if (!varyNames.includes(LANGUAGE)) return false;
  const wanted = mostWanted(fieldValue(request, LANGUAGE) ?? "");
  if (wanted === undefined || fieldValue(fields, "content-language")?.trim().toLowerCase() !== wanted) return false;
  const withoutLanguage = (key: string) => key.split("\n").filter((line) => !line.startsWith(`${LANGUAGE}=`));
  return withoutLanguage(variantKey(varyNames, request)).join("\n") === withoutLanguage(variant).join("\n");
}

const LANGUAGE = "accept-language";

/** The one language tag with the greatest weight; `undefined` where there are several. */
function mostWanted(acceptLanguage: string): string | undefined {
  const ranges = listMembers(acceptLanguage).map((member) => {
    const [tag = "", weight = "q=1"] = member.split(";").map((part) => part.trim().toLowerCase());
    return { tag, weight: Number(/^q=([01](?:\.\d{0,3})?)$/.exec(weight)?.[1] ?? 0) };
  });
  const greatest = Math.max(...ranges.map(({ weight }) => weight));
  const [first, second] = ranges.filter(({ weight }) => weight === greatest && weight > 0);
  return second === undefined && first?.tag !== "*" ? first?.tag : undefined;
}

/** An absent field is not an empty one. */
function variantOf(name: string, value: string | undefined): string {
  if (value === undefined) return name;
  return `${name}=${name === "accept-encoding" || name === LANGUAGE ? preferences(value) : spaced(value)}`;
}

/** Order, case and spacing of what is preferred do not make another variant; weights do. */
function preferences(value: string): string {
  const members = listMembers(value).map((member) =>
    member
      .split(";")
      .map((part) => part.trim().toLowerCase())
      .join(";"),
  );
  return members.sort().join(", ");
}

/** Of a field that this cache does not know only the spaces around commas are sure to mean nothing. */
function spaced(value: string): string {
  return splitList(value, "quoted-strings").join(", ");
}
