/** Names that a policy gives and nothing has: most of them are misspelt. Pure. */

import { suggestionOf } from "../nearest-names.ts";
import { describePointer, type Fault } from "../schema-faults.ts";
import type { KindAndSpec } from "./contradictions.ts";
import { checkCountry } from "./countries.ts";

type ReferredKind = "RenderApp" | "Site" | "NodePool";

/** What there will be. Of a kind of which there is nothing all is to come. */
export type KnownNames = Readonly<Record<ReferredKind, readonly string[]>>;

export function findReferenceWarnings(resource: KindAndSpec, known: KnownNames): readonly Fault[] {
  switch (resource.kind) {
    case "PlacementPolicy":
      return [
        ...unknownNames("RenderApp", resource.spec.apps, "/spec/apps", known),
        ...unknownNames("Site", resource.spec.sites, "/spec/sites", known),
        ...unknownCountries(resource.spec.match?.countries ?? []),
      ];
    case "ContentPolicy":
      return unknownNames("Site", resource.spec.sites, "/spec/sites", known);
    case "RolloutPolicy":
      return resource.spec.waves.flatMap(({ pools }, wave) =>
        unknownNames("NodePool", pools, `/spec/waves/${wave}/pools`, known),
      );
    default:
      return [];
  }
}

function unknownNames(kind: ReferredKind, names: readonly string[], at: string, known: KnownNames): Fault[] {
  const there = known[kind];
  if (there.length === 0) return [];
  return names.flatMap((name, index): Fault[] => {
    if (there.includes(name)) return [];
    const pointer = `${at}/${index}`;
    return [
      { pointer, message: `${describePointer(pointer)}: there is no ${kind} ${name}${suggestionOf(name, there)}` },
    ];
  });
}

function unknownCountries(countries: readonly string[]): Fault[] {
  return countries.flatMap((code, index): Fault[] => {
    const check = checkCountry(code);
    if (check.kind === "country") return [];
    const pointer = `/spec/match/countries/${index}`;
    const meant = check.meant === undefined ? ", and matches no client" : `: did you mean ${check.meant}?`;
    return [{ pointer, message: `${describePointer(pointer)}: ${code} is no country of ISO 3166-1${meant}` }];
  });
}
