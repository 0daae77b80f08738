/** Turns a schema validator's errors into faults a person can act on: where, what was expected, what was there. Pure. */

import { nearestNames } from "./nearest-names.ts";
import { PATTERN_WORDS } from "./pattern-words.ts";

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

/** All faults, one per wrong place and reason, in document order of the validator. With the schema, misspelt fields are told by those it has. */
export function faultsOf(errors: readonly SchemaError[], root: unknown, schema?: unknown): readonly Fault[] {
  const of = { root, schema };
  const nearest = nearestAlternatives(errors, of);
  const meant = meantFields(nearest, of);
  const faults = nearest.flatMap((error) => faultsOfError(error, root, meant));
  return [...new Map(faults.map((fault) => [`${fault.pointer} ${fault.message}`, fault])).values()];
}

interface Validated {
  readonly root: unknown;
  /** Unknown where the validator's caller does not say. */
  readonly schema: unknown;
}

/** Of a value that is none of several shapes: what is wrong with it as the one that it is nearest to. */
function nearestAlternatives(errors: readonly SchemaError[], of: Validated): readonly SchemaError[] {
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
    const [nearest] = [...byShape.values()]
      .map((shape) => ({ shape, distance: distanceOf(shape, union, of) }))
      .sort((a, b) => compareDistances(a.distance, b.distance));
    for (const error of [union, ...within]) if (nearest?.shape.includes(error) !== true) dropped.add(error);
  }
  return errors.filter((error) => !dropped.has(error));
}

/** How far a value is from a shape, what says most first: another type, another kind of it, fields of another shape, faults. */
function distanceOf(shape: readonly SchemaError[], union: SchemaError, of: Validated): readonly number[] {
  const isOtherKind = ({ keyword, instancePath }: SchemaError) =>
    keyword === "const" && instancePath.slice(0, instancePath.lastIndexOf("/")) === union.instancePath;
  const unknown = shape
    .filter(({ instancePath }) => instancePath === union.instancePath)
    .reduce((sum, error) => sum + unknownFields(error).length, 0);
  const misspelt = [...meantFields(shape, of).keys()].filter(
    (pointer) => pointer.slice(0, pointer.lastIndexOf("/")) === union.instancePath,
  ).length;
  const lacking = shape.reduce((sum, error) => sum + Math.max(1, listOf(error.params, "requiredProperties").length), 0);
  return [
    shape.some((error) => isMeantOtherwise(error, union)) ? 1 : 0,
    shape.some(isOtherKind) ? 1 : 0,
    unknown - misspelt,
    lacking,
  ];
}

function compareDistances(a: readonly number[], b: readonly number[]): number {
  return a.map((distance, index) => distance - (b[index] ?? 0)).find((difference) => difference !== 0) ?? 0;
}

/** By the pointer to a field that there is not: the one of the schema, missing there, that is written like it. */
function meantFields(errors: readonly SchemaError[], { root, schema }: Validated): ReadonlyMap<string, string> {
  const meant = new Map<string, string>();
  for (const error of errors) {
    const unknown = unknownFields(error);
    if (unknown.length === 0) continue;
    const written = keysOf(valueAt(root, error.instancePath));
    const missing = keysOf(valueAt(schema, `${error.schemaPath.slice(1)}/properties`)).filter(
      (field) => !written.includes(field),
    );
    for (const field of unknown) {
      const [nearest] = nearestNames(field, missing);
      if (nearest !== undefined) meant.set(`${error.instancePath}/${escapePointer(field)}`, nearest);
    }
  }
  return meant;
}

function unknownFields({ keyword, params }: SchemaError): readonly string[] {
  return keyword === "additionalProperties" ? listOf(params, "additionalProperties") : [];
}

/** It is of another type, or none of some constants: nothing within it is wrong, it was meant to be something else. */
function isMeantOtherwise({ keyword, instancePath }: SchemaError, union: SchemaError): boolean {
  return ["type", "const", "enum"].includes(keyword) && instancePath === union.instancePath;
}

function faultsOfError(error: SchemaError, root: unknown, meant: ReadonlyMap<string, string>): Fault[] {
  const at = describePointer(error.instancePath);
  switch (error.keyword) {
    case "boolean":
      return [];
    case "additionalProperties":
      return unknownFields(error).map((key) => {
        const pointer = `${error.instancePath}/${escapePointer(key)}`;
        const nearest = meant.get(pointer);
        const suggestion = nearest === undefined ? "" : `: did you mean ${nearest}?`;
        return { pointer, message: `${describePointer(pointer)} is not a known field${suggestion}` };
      });
    case "required":
      return listOf(error.params, "requiredProperties")
        .filter((key) => !isMisspelt(key, error, meant))
        .map((key) => ({ pointer: error.instancePath, message: `${at} lacks the field ${key}` }));
    default:
      return [
        {
          pointer: error.instancePath,
          message: `${at} ${wordsOf(error)}${expectedOf(error)}, got ${show(root, error)}`,
        },
      ];
  }
}

/** It is there by another name, which is said. */
function isMisspelt(key: string, { instancePath }: SchemaError, meant: ReadonlyMap<string, string>): boolean {
  return [...meant].some(
    ([pointer, field]) => field === key && pointer.slice(0, pointer.lastIndexOf("/")) === instancePath,
  );
}

function wordsOf({ keyword, params, message }: SchemaError): string {
  const pattern = keyword === "pattern" ? Object.entries(params).find(([name]) => name === "pattern")?.[1] : undefined;
  const words = typeof pattern === "string" ? PATTERN_WORDS.get(pattern) : undefined;
  return words === undefined ? message : `must be ${words}`;
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

function keysOf(value: unknown): readonly string[] {
  return typeof value === "object" && value !== null ? Object.keys(value) : [];
}

function unescapePointer(part: string): string {
  return part.replaceAll("~1", "/").replaceAll("~0", "~");
}

export function escapePointer(part: string): string {
  return part.replaceAll("~", "~0").replaceAll("/", "~1");
}
