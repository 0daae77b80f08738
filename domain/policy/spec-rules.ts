/** Rules over some fields of a spec, judged also where other fields of it are wrong. Pure. */
import type { Fault } from "../schema-faults.ts";

/** What of a spec is well formed, and the names of the fields that are not or are lacking. */
interface JudgedSpec<Spec> {
  readonly parts: Partial<Spec>;
  readonly faulty: ReadonlySet<string>;
}

export type SpecRule<Spec> = (judged: JudgedSpec<Spec>) => readonly Fault[];

/** A rule is of the fields that it names, and is not judged where one of them is faulty. */
export function rulesOf<Spec extends object>() {
  return <Field extends keyof Spec & string>(
    fields: readonly Field[],
    find: (spec: Pick<Spec, Field>) => readonly Fault[],
  ): SpecRule<Spec> => {
    const areSound = (judged: JudgedSpec<Spec>): judged is JudgedSpec<Spec> & { readonly parts: Pick<Spec, Field> } =>
      fields.every((field) => !judged.faulty.has(field));
    return (judged) => (areSound(judged) ? find(judged.parts) : []);
  };
}

export function judgeRules<Spec>(
  rules: readonly SpecRule<Spec>[],
  parts: Partial<Spec>,
  faulty: ReadonlySet<string>,
): readonly Fault[] {
  return rules.flatMap((rule) => rule({ parts, faulty }));
}
