/** Which names somebody may have meant who wrote one that there is not. Pure. */

const NAMES_MAX = 3;
/** Letters inserted, deleted or replaced: beyond it, or beyond half of the letters, it is another word. */
const EDITS_MAX = 3;

/** Those of fewest edits first; none where nothing is near. */
export function nearestNames(wanted: string, names: readonly string[]): readonly string[] {
  const editsMax = Math.max(1, Math.min(EDITS_MAX, Math.ceil(wanted.length / 2)));
  return [...new Set(names)]
    .map((name) => ({ name, edits: name.startsWith(wanted) ? 1 : editsBetween(wanted, name) }))
    .filter(({ edits }) => edits <= editsMax)
    .sort((a, b) => a.edits - b.edits || a.name.length - b.name.length || (a.name < b.name ? -1 : 1))
    .slice(0, NAMES_MAX)
    .map(({ name }) => name);
}

/** To end a message with; nothing where nothing is near. */
export function suggestionOf(wanted: string, names: readonly string[]): string {
  const nearest = nearestNames(wanted, names);
  return nearest.length === 0 ? "" : `: did you mean ${nearest.join(" or ")}?`;
}

/** Levenshtein distance, or beyond `EDITS_MAX` less: by rows (Wagner and Fischer 1974). */
function editsBetween(from: string, to: string): number {
  const byLength = Math.abs(from.length - to.length);
  if (byLength > EDITS_MAX) return byLength;
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (const [index, letter] of [...from].entries()) {
    const next = [index + 1];
    for (let at = 1; at <= to.length; at += 1) {
      const replaced = (row[at - 1] ?? 0) + (to[at - 1] === letter ? 0 : 1);
      next.push(Math.min(replaced, (row[at] ?? 0) + 1, (next[at - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
