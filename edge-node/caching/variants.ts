/** Which stored variant answers a request: keys made of the fields that Vary names (RFC 9111 section 4.1). Pure. */
import { type Fields, fieldValue, listMembers } from "#domain/http/fields.ts";

/** Names in lower case, sorted, without repetition. */
export function varyNames(response: Fields): readonly string[] {
  const names = listMembers(fieldValue(response, "vary") ?? "").map((name) => name.toLowerCase());
  return [...new Set(names)].sort();
}

/** Equal for requests that the stored response was negotiated alike for. */
export function variantKey(names: readonly string[], request: Fields): string {
  return names.map((name) => `${name}=${normalise(name, fieldValue(request, name) ?? "")}`).join("\n");
}

/** Order and spacing of a list do not make another variant; weights do. */
function normalise(name: string, value: string): string {
  const members = listMembers(value).map((member) => member.replace(/\s*;\s*/g, ";"));
  const isUnordered = name === "accept-encoding" || name === "accept-language";
  return (isUnordered ? members.map((member) => member.toLowerCase()).sort() : members).join(", ");
}
