/** Cache-Control directives (RFC 9111 section 5.2). Pure. */
import { listMembers } from "./fields.ts";

/** A directive with its argument, `undefined` where it has none; a repeated one keeps its first. */
export type Directives = ReadonlyMap<string, string | undefined>;

/** Larger values mean this (section 1.2.2). */
export const DELTA_SECONDS_MAX = 2_147_483_648;

export function parseCacheControl(value: string | undefined): Directives {
  const directives = new Map<string, string | undefined>();
  for (const member of listMembers(value ?? "")) {
    const at = member.indexOf("=");
    const name = (at < 0 ? member : member.slice(0, at)).trim().toLowerCase();
    if (!directives.has(name)) directives.set(name, at < 0 ? undefined : unquote(member.slice(at + 1).trim()));
  }
  return directives;
}

function unquote(text: string): string {
  return /^".*"$/s.test(text) ? text.slice(1, -1).replace(/\\(.)/g, "$1") : text;
}

/** Whole seconds; `undefined` where absent, "invalid" for anything but digits. */
export function deltaSeconds(directives: Directives, name: string): number | "invalid" | undefined {
  if (!directives.has(name)) return undefined;
  const text = directives.get(name) ?? "";
  return /^\d+$/.test(text) ? Math.min(Number(text), DELTA_SECONDS_MAX) : "invalid";
}
