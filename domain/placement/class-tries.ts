/** In which order a session's render classes are tried, and how each is asked for. Pure. */
import type { NoFitAction } from "../policy/placement-policy.ts";

export interface ClassTry<C> {
  readonly renderClass: C;
  /** What the decision is told to do where nothing fits. */
  readonly onNoFit: NoFitAction;
  /** Whether spare capacity beyond the limit is looked for as well, which comes after all classes. */
  readonly mayExceedLimit: boolean;
}

/**
 * `held` are the classes that some pool holds, in the app's order of preference. Only a policy that degrades goes on to
 * a later class, and only when all are too far to uncontested capacity beyond the limit, with the least demanding first.
 */
export function planClassTries<C>(held: readonly C[], onNoFit: NoFitAction): readonly ClassTry<C>[] {
  if (onNoFit !== "degrade") {
    return held.slice(0, 1).map((renderClass) => ({ renderClass, onNoFit, mayExceedLimit: false }));
  }
  return [
    ...held.map((renderClass) => ({ renderClass, onNoFit: "queue" as const, mayExceedLimit: false })),
    ...held.toReversed().map((renderClass) => ({ renderClass, onNoFit, mayExceedLimit: true })),
  ];
}
