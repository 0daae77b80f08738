/** What a store that was killed must have, may have, and must not have, by what the child said before it died. Pure. */
import { GROUPS } from "./made-object.ts";

/** What the child says, a line each, before and after it does something. */
export type Said =
  /** A version is begun; complete. */
  | { readonly kind: "begin" | "done"; readonly number: number; readonly version: number }
  /** An object is to be removed; is. Its head is to be validated; is. */
  | { readonly kind: "remove" | "removed" | "validate" | "validated"; readonly number: number }
  /** A group of objects, or one, is to be purged; is, hard or soft. */
  | {
      readonly kind: "purge" | "purged";
      readonly scope: "group" | "object";
      readonly of: number;
      readonly isSoft: boolean;
    }
  /** What a start found: `undefined` for a miss. */
  | { readonly kind: "found"; readonly number: number; readonly found: Found | undefined };

export interface Found {
  readonly version: number;
  readonly isWhole: boolean;
  readonly isSoft: boolean;
}

export type Verdict = "as-told" | "lost" | "wrong-bytes" | "came-back" | "not-softened";

interface Known {
  /** Complete, and not taken out since. */
  complete: number | undefined;
  /** Begun, and not known to be complete: any of them may have come to be. */
  readonly begun: Set<number>;
  /** Something that takes it out had begun. */
  mayBeGone: boolean;
  softness: "fresh" | "may-be-soft" | "soft";
}

export class Ledger {
  readonly #known: Known[];
  readonly #mayEvict: boolean;

  constructor({ objects, mayEvict }: { readonly objects: number; readonly mayEvict: boolean }) {
    this.#mayEvict = mayEvict;
    this.#known = Array.from({ length: objects }, () => emptied());
  }

  /** A verdict for what a start found only. */
  take(said: Said): Verdict | undefined {
    switch (said.kind) {
      case "begin":
        this.#of(said.number).begun.add(said.version);
        return undefined;
      case "done":
        this.#known[said.number] = { ...emptied(), complete: said.version };
        return undefined;
      case "remove":
        this.#of(said.number).mayBeGone = true;
        return undefined;
      case "removed":
        this.#known[said.number] = emptied();
        return undefined;
      case "validate":
      case "validated":
        validate(this.#of(said.number), said.kind);
        return undefined;
      case "purge":
      case "purged":
        for (const known of this.#named(said)) purge(known, said);
        return undefined;
      case "found":
        return this.#judge(said.number, said.found);
    }
  }

  /** For a person. */
  describe(number: number): string {
    const known = this.#of(number);
    return JSON.stringify({ ...known, begun: [...known.begun] });
  }

  /** From then on the store has what was found. */
  #judge(number: number, found: Found | undefined): Verdict {
    const verdict = this.#verdictOf(this.#of(number), found);
    this.#known[number] = {
      ...emptied(),
      complete: found?.version,
      softness: found?.isSoft === true ? "soft" : "fresh",
    };
    return verdict;
  }

  #verdictOf({ complete, begun, mayBeGone, softness }: Known, found: Found | undefined): Verdict {
    if (found === undefined) return complete === undefined || mayBeGone || this.#mayEvict ? "as-told" : "lost";
    if (!found.isWhole) return "wrong-bytes";
    if (found.version !== complete && !begun.has(found.version)) return "came-back";
    const isOld = found.version === complete;
    return isOld && softness === "soft" && !found.isSoft ? "not-softened" : "as-told";
  }

  #of(number: number): Known {
    const known = this.#known[number];
    if (known === undefined) throw new Error(`there is no object ${number}`);
    return known;
  }

  #named({ scope, of }: Extract<Said, { kind: "purge" | "purged" }>): readonly Known[] {
    return scope === "object" ? [this.#of(of)] : this.#known.filter((_, number) => number % GROUPS === of);
  }
}

function emptied(): Known {
  return { complete: undefined, begun: new Set(), mayBeGone: false, softness: "fresh" };
}

function purge(known: Known, { kind, isSoft }: Extract<Said, { kind: "purge" | "purged" }>): void {
  if (kind === "purge" && isSoft) known.softness = known.softness === "soft" ? "soft" : "may-be-soft";
  else if (kind === "purge") known.mayBeGone = true;
  else if (isSoft) known.softness = "soft";
  else {
    known.complete = undefined;
    // What was begun before a purge is not stored after it.
    known.begun.clear();
  }
}

function validate(known: Known, kind: "validate" | "validated"): void {
  if (kind === "validated") known.softness = "fresh";
  else if (known.softness === "soft") known.softness = "may-be-soft";
}
