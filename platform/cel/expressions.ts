/** Compiles the CEL expressions of policies: typed, bounded in cost before they run, and never a throw when they do. */
import { type ASTNode, Environment } from "@marcbachmann/cel-js";
import type { PoolSubject } from "#domain/placement/labels.ts";
import { EXPRESSION_LENGTH_MAX, type ExpressionParts, expressionsOf } from "#domain/policy/expressions.ts";
import type { Expression, Judgement, PolicySubject } from "#domain/policy/policy-match.ts";
import type { Fault } from "#domain/schema-faults.ts";

/** With one walk over 64 labels at most, some ten thousand steps: a millisecond. */
export const EXPRESSION_NODES_MAX = 200;
export const EXPRESSION_DEPTH_MAX = 24;
export const EXPRESSION_LIST_MAX = 64;
const CALL_ARGUMENTS_MAX = 4;

/** No regular expressions, which may take for ever, and nothing that makes long values out of short ones. */
const FUNCTIONS = new Set([
  "size",
  "startsWith",
  "endsWith",
  "contains",
  "lowerAscii",
  "double",
  "int",
  "string",
  "has",
]);
/** Each walks a list or the labels; one within another would multiply. */
const WALKS = new Set(["all", "exists", "exists_one"]);

export type Compiled<Subject> = { readonly kind: "compiled"; readonly judge: Expression<Subject> } | Invalid;

interface Invalid {
  readonly kind: "invalid";
  readonly reason: string;
}

const limits = {
  maxAstNodes: EXPRESSION_NODES_MAX,
  maxDepth: EXPRESSION_DEPTH_MAX,
  maxListElements: EXPRESSION_LIST_MAX,
  maxMapEntries: EXPRESSION_LIST_MAX,
  maxCallArguments: CALL_ARGUMENTS_MAX,
};

const POOLS = new Environment({ limits }).registerVariable({
  name: "pool",
  schema: { name: "string", region: "string", labels: "map<string, string>", latitude: "double", longitude: "double" },
});

const CLIENTS = new Environment({ limits })
  .registerVariable({
    name: "client",
    schema: { tenant: "string", country: "string", asn: "int", address: "string" },
  })
  .registerVariable({ name: "device", schema: { decodeMs: "double", jitterMs: "double" } })
  .registerVariable("app", "string")
  .registerVariable("site", "string")
  .registerVariable("tier", "string");

export function compilePoolExpression(text: string): Compiled<PoolSubject> {
  return compile(POOLS, text, (pool: PoolSubject) => ({ pool }));
}

/** What is not known of a client is empty, or 0. */
export function compileClientExpression(text: string): Compiled<PolicySubject> {
  return compile(CLIENTS, text, ({ tenant, country, asn, address, device, app, site, tier }: PolicySubject) => ({
    client: { tenant: tenant ?? "", country: country ?? "", asn: BigInt(asn ?? 0), address: address ?? "" },
    device: device ?? { decodeMs: 0, jitterMs: 0 },
    app: app ?? "",
    site: site ?? "",
    tier: tier ?? "",
  }));
}

/** What is wrong with a policy's expressions, all of them. */
export function expressionFaults(spec: ExpressionParts): readonly Fault[] {
  return expressionsOf(spec).flatMap(({ pointer, of, text }) => {
    const compiled = of === "pool" ? compilePoolExpression(text) : compileClientExpression(text);
    if (compiled.kind === "compiled") return [];
    const at = pointer
      .slice(1)
      .replaceAll(/\/(\d+)/g, "[$1]")
      .replaceAll("/", ".");
    return [{ pointer, message: `${at} ${compiled.reason}` }];
  });
}

function compile<Subject>(
  environment: Environment,
  text: string,
  contextOf: (subject: Subject) => object,
): Compiled<Subject> {
  if (text.length > EXPRESSION_LENGTH_MAX)
    return invalid(`has ${text.length} characters, at most ${EXPRESSION_LENGTH_MAX}`);
  const checked = environment.check(text);
  if (!checked.valid) return invalid(reasonOf(checked.error));
  if (checked.type !== "bool") return invalid(`must be true or false, it is a ${checked.type}`);
  const parsed = environment.parse(text);
  const costly = findCostly(parsed.ast, false);
  if (costly !== undefined) return invalid(costly);
  return { kind: "compiled", judge: (subject) => judge(() => parsed(contextOf(subject))) };
}

function judge(run: () => unknown): Judgement {
  try {
    const result = run();
    if (typeof result !== "boolean") return { kind: "failed", reason: `gave a ${typeof result}` };
    return { kind: result ? "holds" : "does-not-hold" };
  } catch (error) {
    return { kind: "failed", reason: reasonOf(error) };
  }
}

/** Why it is refused; undefined where every call is one of those that cost little. */
function findCostly(node: ASTNode, isInWalk: boolean): string | undefined {
  const name = calledBy(node);
  const walks = name !== undefined && WALKS.has(name);
  if (walks && isInWalk) return `walks a list within a walk: ${name}`;
  if (name !== undefined && !walks && !FUNCTIONS.has(name)) {
    return `calls ${name}; what may be called is ${[...FUNCTIONS, ...WALKS].join(", ")}`;
  }
  for (const child of childrenOf(node.args)) {
    const found = findCostly(child, isInWalk || walks);
    if (found !== undefined) return found;
  }
  return undefined;
}

function calledBy(node: ASTNode): string | undefined {
  return node.op === "call" || node.op === "rcall" ? node.args[0] : undefined;
}

function childrenOf(args: unknown): readonly ASTNode[] {
  if (Array.isArray(args)) return args.flatMap(childrenOf);
  return isNode(args) ? [args] : [];
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}

/** The library's message goes on with a picture of the place. */
function reasonOf(error: unknown): string {
  const [line = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
  return line;
}

function invalid(reason: string): Invalid {
  return { kind: "invalid", reason };
}
