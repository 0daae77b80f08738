/** Policies with their expressions compiled, for decisions that take them as functions. */
import type { PoolSubject } from "#domain/placement/labels.ts";
import { expressionsOf } from "#domain/policy/expressions.ts";
import type { WrittenPlacementPolicy } from "#domain/policy/placement-policy.ts";
import type { Expression, NamedPolicy } from "#domain/policy/policy-match.ts";
import { type Compiled, compileClientExpression, compilePoolExpression } from "./expressions.ts";

export function compilePolicy(name: string, spec: WrittenPlacementPolicy, revision = 0): NamedPolicy {
  const text = spec.match?.expression;
  const named = { name, revision, spec };
  return text === undefined ? named : { ...named, expression: judgeOf(compileClientExpression(text)) };
}

/** Of all pools' expressions, by their text. */
export function compilePoolExpressions(
  specs: readonly WrittenPlacementPolicy[],
): ReadonlyMap<string, Expression<PoolSubject>> {
  const texts = specs.flatMap(expressionsOf).flatMap(({ of, text }) => (of === "pool" ? [text] : []));
  return new Map([...new Set(texts)].map((text) => [text, judgeOf(compilePoolExpression(text))]));
}

/** A policy that a later version accepted may have what this one refuses. */
function judgeOf<Subject>(compiled: Compiled<Subject>): Expression<Subject> {
  return compiled.kind === "compiled" ? compiled.judge : () => ({ kind: "failed", reason: compiled.reason });
}
