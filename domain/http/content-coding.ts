/** Content codings and their negotiation by Accept-Encoding (RFC 9110 sections 8.4.1 and 12.5.3). Pure. */
import { type Fields, listMembers } from "./fields.ts";

/** Those that content is kept in, the smallest first: what text becomes by them, and what is chosen among equals. */
export const CONTENT_CODINGS = ["br", "zstd", "gzip"] as const;
export type ContentCoding = (typeof CONTENT_CODINGS)[number];

const WEIGHT = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i;

/** "identity" where no coding is wanted that is available, and where there is no field: then nobody said what they can decode. */
export function negotiateEncoding(
  acceptEncoding: string | undefined,
  available: readonly ContentCoding[],
): ContentCoding | "identity" {
  if (acceptEncoding === undefined || available.length === 0) return "identity";
  const weights = weightsOf(acceptEncoding);
  const rest = weights.get("*") ?? 0;
  let best: ContentCoding | "identity" = "identity";
  // Acceptable without being named, and then the last choice.
  let bestWeight = weights.get("identity") ?? 0;
  for (const coding of available) {
    const weight = weights.get(coding) ?? rest;
    const isBetter = best === "identity" ? weight >= bestWeight : weight > bestWeight;
    if (weight === 0 || !isBetter) continue;
    best = coding;
    bestWeight = weight;
  }
  return best;
}

/** By name in lower case; what has no weight that can be read is not wanted, and of two the first counts. */
function weightsOf(acceptEncoding: string): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const member of listMembers(acceptEncoding)) {
    const [name = "", parameter = "q=1", ...rest] = member.split(";").map((part) => part.trim());
    const coding = name.toLowerCase() === "x-gzip" ? "gzip" : name.toLowerCase();
    const weight = rest.length > 0 ? undefined : WEIGHT.exec(parameter)?.[1];
    if (!weights.has(coding)) weights.set(coding, weight === undefined ? 0 : Number(weight));
  }
  return weights;
}

/** The fields of a response that Accept-Encoding was negotiated for, or would be. */
export function withVaryOnEncoding(fields: Fields): Fields {
  const vary = fields.get("vary") ?? [];
  const names = listMembers(vary.join(", ")).map((name) => name.toLowerCase());
  if (names.includes("accept-encoding") || names.includes("*")) return fields;
  return new Map([...fields, ["vary", [[...vary, "Accept-Encoding"].join(", ")]]]);
}
