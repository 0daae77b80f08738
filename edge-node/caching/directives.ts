/** Which cache directives of a response are for this cache: targeted ones first (RFC 9213). Pure. */
import { parseDictionary } from "structured-headers";
import { type Directives, parseCacheControl } from "#domain/http/cache-control.ts";
import { type Fields, fieldValue, listMembers } from "#domain/http/fields.ts";

/** This cache's target list (section 2.2): itself, then any content delivery network. */
const TARGETED = ["perigee-cdn-cache-control", "cdn-cache-control"];

export interface ResponseDirectives {
  readonly directives: Directives;
  /** Then Cache-Control and Expires say nothing to this cache (section 2.2). */
  readonly isTargeted: boolean;
}

export function directivesOf(fields: Fields): ResponseDirectives {
  for (const name of TARGETED) {
    const value = fieldValue(fields, name);
    const directives = value === undefined ? undefined : parseTargeted(value);
    if (directives !== undefined) return { directives, isTargeted: true };
  }
  return { directives: parseCacheControl(fieldValue(fields, "cache-control")), isTargeted: false };
}

/** `undefined` for what is no dictionary (RFC 9651 section 3.2), or an empty one: the field is ignored whole. */
function parseTargeted(value: string): Directives | undefined {
  try {
    const members = [...parseDictionary(value)].map(([name, [item]]) => [name, argumentOf(name, item)] as const);
    const usable = members.flatMap(([name, argument]) =>
      argument === "unusable" ? [] : [[name, argument.text] as const],
    );
    return members.length === 0 ? undefined : new Map(usable);
  } catch {
    return undefined;
  }
}

/** Those whose argument is a list of field names. */
const NAMING = new Set(["no-cache", "private"]);

/** A flag, a whole number, or names in a string where they may be; of other types the directive is ignored. */
function argumentOf(name: string, item: unknown): { readonly text: string | undefined } | "unusable" {
  if (item === true) return { text: undefined };
  if (typeof item === "string") return NAMING.has(name) ? { text: item } : "unusable";
  return typeof item === "number" && Number.isInteger(item) && item >= 0 ? { text: String(item) } : "unusable";
}

/** The fields that `no-cache` or `private` names (RFC 9111 sections 5.2.2.4 and 5.2.2.7): not stored, the rest is. */
export function fieldsNamedBy(directives: Directives, name: "no-cache" | "private"): readonly string[] {
  return listMembers(directives.get(name) ?? "").map((field) => field.toLowerCase());
}

/** Whether the directive is there for the whole response. */
export function isWhole(directives: Directives, name: "no-cache" | "private"): boolean {
  return directives.has(name) && fieldsNamedBy(directives, name).length === 0;
}
