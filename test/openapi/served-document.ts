/** Reads a served OpenAPI document as a client's generator would. Pure. */

type Json = Readonly<Record<string, unknown>>;

/** References that lead nowhere, and operations that do not say how they refuse. */
export function faultsOfDocument(document: Json): readonly string[] {
  const dangling = referencesIn(document).filter((reference) => findPart(document, reference) === undefined);
  const operations = Object.entries(objectAt(document["paths"])).flatMap(([path, methods]) =>
    Object.entries(objectAt(methods)).map(([method, operation]) => [`${method} ${path}`, operation] as const),
  );
  const silent = operations.filter(([, operation]) => {
    const answer = findPart(objectAt(operation), "#/responses/default/content/application~1problem+json/schema");
    return answer === undefined;
  });
  const read = operations.length === 0 ? ["no operation at all"] : [];
  return [...read, ...dangling, ...silent.map(([name]) => `${name} has no problem`)];
}

/** With what it refers to in the place of each reference. */
export function resolved(document: Json, part: unknown): unknown {
  if (Array.isArray(part)) return part.map((item) => resolved(document, item));
  if (typeof part !== "object" || part === null) return part;
  if ("$ref" in part) return resolved(document, findPart(document, String(part.$ref)));
  return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, resolved(document, value)]));
}

/** By a JSON pointer as a fragment (RFC 6901 section 6). */
export function findPart(document: Json, reference: string): unknown {
  const names = reference.split("/").slice(1);
  return names.reduce<unknown>(
    (part, name) => objectAt(part)[name.replaceAll("~1", "/").replaceAll("~0", "~")],
    document,
  );
}

function referencesIn(part: unknown): readonly string[] {
  return Object.entries(objectAt(part)).flatMap(([key, value]) =>
    key === "$ref" ? [String(value)] : referencesIn(value),
  );
}

function objectAt(part: unknown): Json {
  return typeof part === "object" && part !== null ? { ...part } : {};
}
