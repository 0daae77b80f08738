/** The bans that no linter knows, each a pure function of one file's text or syntax tree. Pure. */
import ts from "typescript";
import type { SourceFile } from "../source-files.ts";

export interface Fault {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  readonly what: string;
}

export const LINES_MAX = 500;
/** Written by a program, once. */
const RECORDED = /^contracts\/fixtures\//;
export const FUNCTION_LINES_MAX = 70;

const TEST = /\.test\.ts$/;
const SCRIPT = /^(test|deploy|loadtests)\//;
const BENCHMARK = /\.bench\.ts$/;
const NAMES_REFUSED = /(^|\/)(utils?|helpers?|common|misc|managers?|handler2|data|info|cfg|ctx)(\/|\.ts$)/;

/** A name that only some files may touch; `what` is as it reads in the source. */
interface Reserved {
  readonly what: string;
  readonly allowed: readonly RegExp[];
  readonly instead: string;
}

const CLOCK = [/^platform\/clock\.ts$/, /^client\/clock\.ts$/, SCRIPT, BENCHMARK];
/** grpc-js ends a server only by a call-back; the deadline around it decides nothing. */
const GRPC_SHUTDOWN = /^platform\/grpc\/server\.ts$/;
/** A socket's own idle time, as node:net has it. */
const SOCKETS = /^edge-node\/(front\/(connection|lane-socket)|processes\/carried-socket)\.ts$/;
const RANDOM = [/^platform\/random\.ts$/, /^client\/random\.ts$/, SCRIPT, BENCHMARK];
const ENVIRONMENT = [/(^|\/)main\.ts$/, SCRIPT, BENCHMARK, TEST];

const RESERVED: readonly Reserved[] = [
  ...["Date.now", "performance.now", "new Date()"].map((what) => ({ what, allowed: CLOCK, instead: "a Clock" })),
  ...["setTimeout", "setInterval"].map((what) => ({
    what,
    allowed: [...CLOCK, GRPC_SHUTDOWN, SOCKETS],
    instead: "a Clock",
  })),
  ...["Math.random", "randomUUID", "randomBytes", "getRandomValues"].map((what) => ({
    what,
    allowed: RANDOM,
    instead: "a Random",
  })),
  ...["process.env", "process.argv"].map((what) => ({ what, allowed: ENVIRONMENT, instead: "an argument of main.ts" })),
];

/** Faults that only the text shows; for every kind of text file. */
export function findTextFaults(file: SourceFile): readonly Fault[] {
  const lines = file.text.split("\n");
  const faults: Fault[] = [];
  const perLine: readonly { rule: string; pattern: RegExp; only?: RegExp }[] = [
    { rule: "machine-path", pattern: /(^|[^A-Za-z0-9_.])\/(work|farm|root)\// },
    { rule: "unfinished", pattern: /\b(TODO|FIXME|XXX|HACK)\b|not implemented/, only: /\.(ts|sh|ya?ml|cjs)$/ },
    { rule: "skipped-test", pattern: /\.(only|skip|todo)\(/, only: TEST },
    { rule: "test-folder", pattern: /\bt\.testdir\(/, only: /(?<!^test\/test-folder)\.ts$/ },
    { rule: "banner-comment", pattern: /^\s*(\/\/|#)\s*[-=*#]{8,}/, only: /\.(ts|sh|ya?ml|cjs)$/ },
  ];
  for (const [index, line] of lines.entries()) {
    for (const { rule, pattern, only } of perLine) {
      if ((only === undefined || only.test(file.path)) && pattern.test(line)) {
        faults.push({ path: file.path, line: index + 1, rule, what: line.trim().slice(0, 100) });
      }
    }
  }
  const lineCount = lines.length - 1;
  if (lineCount > LINES_MAX && !RECORDED.test(file.path)) {
    faults.push({ path: file.path, line: 1, rule: "file-length", what: `${lineCount} lines, at most ${LINES_MAX}` });
  }
  if (NAMES_REFUSED.test(file.path)) {
    faults.push({ path: file.path, line: 1, rule: "name", what: "a name that says nothing about what is in it" });
  }
  return faults;
}

/** Faults of a TypeScript module. */
export function findSourceFaults(file: SourceFile): readonly Fault[] {
  const source = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.ES2024, true);
  const faults: Fault[] = [];
  const report = (position: number, rule: string, what: string): void => {
    const { line } = source.getLineAndCharacterOfPosition(position);
    faults.push({ path: file.path, line: line + 1, rule, what });
  };
  if (!TEST.test(file.path) && !/^(#!.*\n)?\/\*\*/.test(file.text))
    report(0, "first-line", "the module does not begin with a doc comment");
  const visit = (node: ts.Node): void => {
    for (const { rule, what } of findNodeFaults(node, source, file.path)) report(node.getStart(source), rule, what);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return faults;
}

type NodeFault = Pick<Fault, "rule" | "what">;

function findNodeFaults(node: ts.Node, source: ts.SourceFile, path: string): readonly NodeFault[] {
  return [
    ...findReserved(node, path),
    ...findLongFunction(node, source),
    ...findSleep(node, path),
    ...findUnparsedJson(node),
  ];
}

function findReserved(node: ts.Node, path: string): readonly NodeFault[] {
  const name = nameUsed(node);
  const reserved = RESERVED.find(({ what }) => what === name);
  if (reserved === undefined || reserved.allowed.some((pattern) => pattern.test(path))) return [];
  return [{ rule: "reserved", what: `${reserved.what} here: take ${reserved.instead}` }];
}

/** "Date.now", "new Date()", "setTimeout" (called), "randomBytes" (called, also as a member), else undefined. */
function nameUsed(node: ts.Node): string | undefined {
  if (ts.isNewExpression(node)) {
    return node.expression.getText() === "Date" && (node.arguments?.length ?? 0) === 0 ? "new Date()" : undefined;
  }
  if (ts.isPropertyAccessExpression(node)) {
    return node.getText().replace(/^globalThis\./, "");
  }
  if (!ts.isCallExpression(node)) return undefined;
  const called = node.expression;
  return ts.isPropertyAccessExpression(called) ? called.name.text : called.getText();
}

function findLongFunction(node: ts.Node, source: ts.SourceFile): readonly NodeFault[] {
  if (!ts.isFunctionLike(node) || !("body" in node) || node.body === undefined) return [];
  const lineOf = (position: number): number => source.getLineAndCharacterOfPosition(position).line;
  const lines = lineOf(node.getEnd()) - lineOf(node.getStart(source)) + 1;
  return lines > FUNCTION_LINES_MAX ? [{ rule: "function-length", what: `${lines} lines` }] : [];
}

function findSleep(node: ts.Node, path: string): readonly NodeFault[] {
  if (!TEST.test(path)) return [];
  const imports = ts.isImportDeclaration(node) && node.moduleSpecifier.getText().includes("timers/promises");
  const sleeps =
    nameUsed(node) === "systemClock.sleep" || (ts.isCallExpression(node) && nameUsed(node) === "setTimeout");
  return imports || sleeps ? [{ rule: "sleeping-test", what: "wait for the event or condition instead" }] : [];
}

function findUnparsedJson(node: ts.Node): readonly NodeFault[] {
  if (!ts.isAsExpression(node) || node.type.kind === ts.SyntaxKind.UnknownKeyword) return [];
  const parsed = ts.isCallExpression(node.expression) && node.expression.expression.getText() === "JSON.parse";
  return parsed ? [{ rule: "unparsed-json", what: "JSON.parse(…) as T: narrow it with a schema" }] : [];
}
