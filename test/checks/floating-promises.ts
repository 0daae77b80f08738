/** Finds statements whose value is a promise that nobody awaits, with the compiler's own types. */
import { join, relative } from "node:path";
import ts from "typescript";

/** Browser code is compiled by a project of its own. */
const PROJECTS = ["tsconfig.json", "tsconfig.client.json"];

/** `read` counts the calls that were looked at. A promise is let go on purpose by `void`. */
export function findFloatingPromises(root: string): { read: number; faults: string } {
  let read = 0;
  const faults: string[] = [];
  for (const project of PROJECTS) {
    const program = createProgram(join(root, project));
    const checker = program.getTypeChecker();
    for (const source of program.getSourceFiles()) {
      if (source.isDeclarationFile || source.fileName.includes("/node_modules/")) continue;
      const visit = (node: ts.Node): void => {
        if (ts.isCallExpression(node)) read += 1;
        if (ts.isExpressionStatement(node) && !isTestCase(node, source) && isFloating(node.expression, checker)) {
          const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
          const text = node.getText(source).split("\n")[0] ?? "";
          faults.push(`${relative(root, source.fileName)}:${line + 1}: floating promise: ${text.slice(0, 80)}`);
        }
        ts.forEachChild(node, visit);
      };
      visit(source);
    }
  }
  return { read, faults: faults.join("\n") };
}

function createProgram(configPath: string): ts.Program {
  const { config } = ts.readConfigFile(configPath, ts.sys.readFile);
  const parsed = ts.parseJsonConfigFileContent(config, ts.sys, join(configPath, ".."));
  return ts.createProgram(parsed.fileNames, parsed.options);
}

/** tap queues what a test file's top level calls; a rejection there fails the file. */
function isTestCase(statement: ts.ExpressionStatement, source: ts.SourceFile): boolean {
  return statement.parent === source && source.fileName.endsWith(".test.ts");
}

function isFloating(expression: ts.Expression, checker: ts.TypeChecker): boolean {
  if (ts.isAwaitExpression(expression) || ts.isVoidExpression(expression)) return false;
  if (ts.isBinaryExpression(expression) && expression.operatorToken.kind === ts.SyntaxKind.EqualsToken) return false;
  if (isCaught(expression)) return false;
  const type = checker.getTypeAtLocation(expression);
  // tap queues a subtest by itself, and its parent waits for it.
  return isPromise(type) && !checker.typeToString(type).includes("PromiseWithSubtest");
}

/** `….catch(f)` and `….then(f, g)` say what happens to a rejection. tap's own assertions are awaited by its test. */
function isCaught(expression: ts.Expression): boolean {
  if (!ts.isCallExpression(expression) || !ts.isPropertyAccessExpression(expression.expression)) return false;
  const method = expression.expression.name.text;
  if (method === "then") return expression.arguments.length >= 2;
  const ofTap =
    /^t$/.test(expression.expression.expression.getText()) && /^(test|rejects|resolves|before|after)$/.test(method);
  return method === "catch" || ofTap;
}

/** A thenable that is no promise (fastify's reply, a query builder) has neither `catch` nor `finally`. */
function isPromise(type: ts.Type): boolean {
  const parts = type.isUnion() ? type.types : [type];
  return parts.some((part) => ["then", "catch", "finally"].every((name) => part.getProperty(name) !== undefined));
}
