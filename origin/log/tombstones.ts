/** The word that something was deleted on purpose, written with the deletion and kept for nodes that are away. */
import { isTombstoneKind, tombstoneName } from "#domain/fleet/tombstone.ts";
import type { Kind } from "#domain/resource.ts";
import type { ResourceLog, Write } from "./resource-log.ts";
import { findResource, planWrite } from "./resources.ts";

/** None of a kind that nodes give up without being told. Another one of the same name is later than the one before. */
export function tombstoneWrites(log: ResourceLog, kind: Kind, name: string, nowMs: number): readonly Write[] {
  if (!isTombstoneKind(kind)) return [];
  const metadata = { name: tombstoneName(kind, name), labels: {} };
  const earlierMs = findResource(log, "Tombstone", metadata.name)?.spec.atMs ?? 0;
  const spec = { kind, name, atMs: Math.max(nowMs, earlierMs + 1) };
  const { write } = planWrite(log, { kind: "Tombstone", metadata, spec }, nowMs);
  return write === undefined ? [] : [write];
}
