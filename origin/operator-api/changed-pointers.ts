/** Which values differ between two documents. Pure. */
import { escapePointer } from "#domain/schema-faults.ts";

/** RFC 6901 pointers to the deepest places where the two differ; lists are compared whole. */
export function changedPointers(before: unknown, after: unknown, at = ""): string[] {
  const [left, right] = [fieldsOf(before), fieldsOf(after)];
  if (left === undefined || right === undefined) return JSON.stringify(before) === JSON.stringify(after) ? [] : [at];
  const keys = [...new Set([...left.keys(), ...right.keys()])];
  return keys.flatMap((key) => changedPointers(left.get(key), right.get(key), `${at}/${escapePointer(key)}`));
}

function fieldsOf(value: unknown): Map<string, unknown> | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return new Map(Object.entries(value));
}
