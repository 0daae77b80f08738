/** Every purge in an edge's set was applied once in its epoch, in the log's order, also where it came by a snapshot after compaction. */
import type { History } from "../history.ts";
import type { SimulatedEdge } from "../simulated-edge.ts";
import type { Check } from "./check.ts";

export function purgesOnceInOrder(): Check {
  const checked = new Map<string, string>();
  return ({ edges, history }) => {
    for (const edge of edges) {
      const { applied, name, seenPurges } = edge;
      const at = `${applied?.epoch}/${applied?.revision} ${seenPurges.length}`;
      if (applied === undefined || checked.get(name) === at) continue;
      checked.set(name, at);
      const wrong = repeated(edge) ?? disordered(edge, history) ?? missed(edge, history);
      if (wrong !== undefined) return `${name}: ${wrong}`;
    }
    return undefined;
  };
}

/** Between a purge and its mark on the disk a crash or a full disk may come: then it is applied again at a start. */
function repeated({ seenPurges, disk }: SimulatedEdge): string | undefined {
  const starts = new Map<string, number>();
  for (const { path, atWatermark, start } of seenPurges) {
    const key = `${atWatermark.epoch} ${path}`;
    const before = starts.get(key);
    if (before !== undefined && (before === start || !disk.hasFailed)) return `purge of ${path} was applied twice`;
    starts.set(key, start);
  }
  return undefined;
}

function disordered({ seenPurges }: SimulatedEdge, history: History): string | undefined {
  const seen = new Set<string>();
  let last = { epoch: 0, revision: 0 };
  for (const { path, atWatermark } of seenPurges) {
    if (seen.has(path)) continue;
    seen.add(path);
    const { epoch } = atWatermark;
    const revision = revisionOf(history, epoch, path);
    if (epoch < last.epoch || (epoch === last.epoch && revision < last.revision))
      return `purge of ${path} at ${epoch}/${revision} was applied after ${last.epoch}/${last.revision}`;
    last = { epoch, revision };
  }
  return undefined;
}

function missed({ applied, seenPurges }: SimulatedEdge, history: History): string | undefined {
  if (applied === undefined) return undefined;
  const live = new Map<string, string>();
  for (const row of history.rows(applied.epoch)) {
    if (row.kind !== "Purge" || row.revision > applied.revision) continue;
    live.set(row.name, pathIn(row.json));
  }
  const seen = new Set(seenPurges.map(({ path }) => path));
  const lacking = [...live.values()].find((path) => !seen.has(path));
  return lacking === undefined ? undefined : `purge of ${lacking} is in its set and was never applied`;
}

function revisionOf(history: History, epoch: number, path: string): number {
  return history.rows(epoch).find(({ kind, json }) => kind === "Purge" && pathIn(json) === path)?.revision ?? 0;
}

function pathIn(json: string): string {
  return /"paths":\["([^"]*)"\]/.exec(json)?.[1] ?? "";
}
