/** Reads YAML or JSON documents and remembers on which line every value stands. */
import {
  type Document,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  visit,
} from "yaml";
import { Failure } from "#domain/failure.ts";

/** A file with more text than this is not configuration. */
export const YAML_BYTES_MAX = 4 * 1024 * 1024;

export interface SourceDocument {
  readonly value: unknown;
  /** The line (from 1) of the value a JSON pointer names, or of its nearest parent that exists. */
  lineOf(pointer: string): number;
}

/** All documents of a text; throws `argument-invalid` with `file:line:` of each syntax error. Empty documents are left out. */
export function parseSourceDocuments(text: string, file: string): readonly SourceDocument[] {
  if (Buffer.byteLength(text) > YAML_BYTES_MAX) {
    throw new Failure("argument-invalid", `${file}: must be at most ${YAML_BYTES_MAX} bytes`);
  }
  const lines = new LineCounter();
  const documents = [...parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true, strict: true })];
  const errors = documents.flatMap((document) => document.errors);
  if (errors.length > 0) {
    const messages = errors.map((error) => `${file}:${lines.linePos(error.pos[0]).line}: ${firstLine(error.message)}`);
    throw new Failure("argument-invalid", messages.join("\n"));
  }
  return documents
    .filter((document) => document.contents !== null)
    .map((document) => ({
      value: toPlain(document, file, lines),
      lineOf: (pointer) => {
        const node = nearestNode(document.contents, pointer.split("/").slice(1));
        return lines.linePos(node?.range?.[0] ?? 0).line;
      },
    }));
}

/** Aliases may not be expanded without bound, and what they name stands before them. */
function toPlain(document: Document.Parsed, file: string, lines: LineCounter): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    const line = lineOfUnresolvedAlias(document, lines);
    const place = line === undefined ? file : `${file}:${line}`;
    throw new Failure("argument-invalid", `${place}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

function lineOfUnresolvedAlias(document: Document.Parsed, lines: LineCounter): number | undefined {
  let line: number | undefined;
  visit(document, {
    Alias(_key, node) {
      if (node.resolve(document) !== undefined || !node.range) return undefined;
      line = lines.linePos(node.range[0]).line;
      return visit.BREAK;
    },
  });
  return line;
}

function nearestNode(root: unknown, path: readonly string[]): Node | undefined {
  let nearest = isNode(root) ? root : undefined;
  let current: unknown = root;
  for (const part of path.map((text) => text.replaceAll("~1", "/").replaceAll("~0", "~"))) {
    const [key, next] = childOf(current, part);
    if (key !== undefined) nearest = key;
    if (next === undefined) break;
    current = next;
  }
  return nearest;
}

/** The node that marks the line of a child (a mapping's key, a sequence's item) and the child itself. */
function childOf(parent: unknown, part: string): [Node | undefined, unknown] {
  if (isMap(parent)) {
    const pair = parent.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === part);
    return pair === undefined ? [undefined, undefined] : [isNode(pair.key) ? pair.key : undefined, pair.value];
  }
  if (isSeq(parent)) {
    const item = parent.items[Number(part)];
    return [isNode(item) ? item : undefined, item];
  }
  return [undefined, undefined];
}

/** The parser's second line shows the text, which its first announces with a colon. */
function firstLine(text: string): string {
  return (text.split("\n", 1)[0] ?? text).replace(/:$/, "");
}
