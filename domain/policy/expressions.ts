/** Which expressions a policy has, and how long one may be. Pure. */
import type { WrittenPlacementPolicy } from "./placement-policy.ts";

/** A condition that is longer is a table: labels say it better. */
export const EXPRESSION_LENGTH_MAX = 1_024;

export interface PolicyExpression {
  /** RFC 6901, from the document's root. */
  readonly pointer: string;
  /** What it is asked of. */
  readonly of: "client" | "pool";
  readonly text: string;
}

/** What of a policy may hold expressions. */
export type ExpressionParts = Partial<Pick<WrittenPlacementPolicy, "match" | "constraints" | "preferences">>;

export function expressionsOf(spec: ExpressionParts): readonly PolicyExpression[] {
  const match = spec.match?.expression;
  const ofPools = (["constraints", "preferences"] as const).flatMap((list) =>
    (spec[list] ?? []).flatMap((requirement, index): PolicyExpression[] =>
      "expression" in requirement
        ? [{ pointer: `/spec/${list}/${index}/expression`, of: "pool", text: requirement.expression }]
        : [],
    ),
  );
  const ofClients: PolicyExpression[] =
    match === undefined ? [] : [{ pointer: "/spec/match/expression", of: "client", text: match }];
  return [...ofClients, ...ofPools];
}
