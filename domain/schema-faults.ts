/** Turns a schema validator's errors into faults a person can act on: where, what was expected, what was there. Pure. */

/** One thing wrong with a value. */
export interface Fault {
  /** RFC 6901 JSON pointer to the value. */
  readonly pointer: string;
  readonly message: string;
}

/** The part of a JSON Schema error that is read here (TypeBox and Ajv agree on it). */
export interface SchemaError {
  readonly keyword: string;
  readonly schemaPath: string;
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

/** Longest rendering of a wrong value in a message. */
const SHOWN_LENGTH_MAX = 60;

/** `/spec/hosts/0` as `spec.hosts[0]`; the root as `the document`. */
export function describePointer(pointer: string): string {
  const parts = pointer.split("/").slice(1).map(unescapePointer);
  const path = parts.map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`)).join("");
  return path === "" ? "the document" : path.replace(/^\./, "");
}

/** The value a pointer names; `undefined` where there is none. */
export function valueAt(root: unknown, pointer: string): unknown {
  let value = root;
  for (const part of pointer.split("/").slice(1).map(unescapePointer)) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = Object.entries(value).find(([key]) => key === part)?.[1];
  }
  return value;
}

/** All faults, one per wrong place and reason, in document order of the validator. */
export function faultsOf(errors: readonly SchemaError[], root: unknown): readonly Fault[] {
  const faults = nearestAlternatives(errors).flatMap((error) => faultsOfError(error, root));
  return [...new Map(faults.map((fault) => [`${fault.pointer} ${fault.message}`, fault])).values()];
}

/** Of a value that is none of several shapes: what is wrong with it as the one that it is nearest to. */
function nearestAlternatives(errors: readonly SchemaError[]): readonly SchemaError[] {
  const dropped = new Set<SchemaError>();
  for (const union of errors.filter(({ keyword }) => keyword === "anyOf")) {
    const prefix = `${union.schemaPath}/anyOf/`;
    const within = errors.filter(
      ({ schemaPath, instancePath }) =>
        schemaPath.startsWith(prefix) && `${instancePath}/`.startsWith(`${union.instancePath}/`),
    );
    // A union of constants is a list of what is allowed.
    if (within.every(({ keyword, instancePath }) => keyword === "const" && instancePath === union.instancePath))
      continue;
    const byShape = Map.groupBy(within, ({ schemaPath }) => schemaPath.slice(prefix.length).split("/", 1)[0]);
    const rankOf = (shape: readonly SchemaError[]): number =>
      shape.some((error) => isMeantOtherwise(error, union)) ? 1 : 0;
    const [nearest = []] = [...byShape.values()].sort((a, b) => rankOf(a) - rankOf(b) || a.length - b.length);
    for (const error of [union, ...within]) if (!nearest.includes(error)) dropped.add(error);
  }
  return errors.filter((error) => !dropped.has(error));
}

/** It is of another type, or none of some constants: nothing within it is wrong, it was meant to be something else. */
function isMeantOtherwise({ keyword, instancePath }: SchemaError, union: SchemaError): boolean {
  return ["type", "const", "enum"].includes(keyword) && instancePath === union.instancePath;
}

function faultsOfError(error: SchemaError, root: unknown): Fault[] {
  const at = describePointer(error.instancePath);
  switch (error.keyword) {
    case "boolean":
      return [];
    case "additionalProperties":
      return listOf(error.params, "additionalProperties").map((key) => ({
        pointer: `${error.instancePath}/${escapePointer(key)}`,
        message: `${describePointer(`${error.instancePath}/${escapePointer(key)}`)} is not a known field`,
      }));
    case "required":
      return listOf(error.params, "requiredProperties").map((key) => ({
        pointer: error.instancePath,
        message: `${at} lacks the field ${key}`,
      }));
    default:
      return [
        {
          pointer: error.instancePath,
          message: `${at} ${error.message}${expectedOf(error)}, got ${show(root, error)}`,
        },
      ];
  }
}

function expectedOf(error: SchemaError): string {
  const allowed = listOf(error.params, "allowedValues");
  if (allowed.length > 0) return `: ${allowed.join(", ")}`;
  const constant = Object.entries(error.params).find(([key]) => key === "allowedValue")?.[1];
  return constant === undefined ? "" : `: ${String(constant)}`;
}

function show(root: unknown, error: SchemaError): string {
  const text = JSON.stringify(valueAt(root, error.instancePath)) ?? "nothing";
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text;
}

function listOf(params: object, key: string): string[] {
  const list: unknown = Object.entries(params).find(([name]) => name === key)?.[1];
  return Array.isArray(list) ? list.map(String) : [];
}

function unescapePointer(part: string): string {
  return part.replaceAll("~1", "/").replaceAll("~0", "~");
}

export function escapePointer(part: string): string {
  return part.replaceAll("~", "~0").replaceAll("/", "~1");
}
