/** What the scopes of an operator token allow. Pure. */

export type Scope = "admin" | "read" | "apply" | "join" | `publish:${string}`;

/** `admin` allows all; what may be written may be read. */
export function allows(scopes: readonly string[], wanted: Scope): boolean {
  if (scopes.includes("admin") || scopes.includes(wanted)) return true;
  if (wanted === "read") return scopes.includes("apply");
  return wanted.startsWith("publish:") && scopes.includes("publish:*");
}
