/** Kinds as operators type them: any case, singular or plural. Pure. */
import { Failure } from "#domain/failure.ts";
import { KINDS, type Kind } from "#domain/resource.ts";

/** `site`, `sites`, `Site`, `placementpolicies` …; throws `argument-invalid` with the list. */
export function parseKind(text: string): Kind {
  const wanted = text.toLowerCase();
  const kind = KINDS.find((candidate) => {
    const singular = candidate.toLowerCase();
    return wanted === singular || wanted === `${singular}s` || wanted === `${singular.replace(/y$/, "ie")}s`;
  });
  if (kind !== undefined) return kind;
  throw new Failure("argument-invalid", `there is no kind ${JSON.stringify(text)}; kinds are ${KINDS.join(", ")}`);
}
