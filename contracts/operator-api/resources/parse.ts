/** Parses resources as operators write them and as the log stores them; every fault at once. */
import Type, { type TProperties, type TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { Settings } from "typebox/system";
import { Value } from "typebox/value";
import { Failure } from "#domain/failure.ts";
import { nearestNames } from "#domain/nearest-names.ts";
import type { Labels } from "#domain/placement/labels.ts";
import { findContradictions, type KindAndParts, type KindAndSpec } from "#domain/policy/contradictions.ts";
import { type AnyResource, API_VERSION, isKind, KINDS, type Kind } from "#domain/resource.ts";
import { type Fault, faultsOf } from "#domain/schema-faults.ts";
import { labelsSchema } from "./fields.ts";
import { namePatternOf, SPEC_SCHEMAS } from "./schemas.ts";

/** A resource as written by its writer: what the origin sets (generation, times) is not in it yet. */
export type ResourceInput = KindAndSpec & {
  readonly apiVersion: typeof API_VERSION;
  readonly metadata: {
    readonly name: string;
    readonly labels: Labels;
    /** What compare-and-swap expects; absent means whatever is there. */
    readonly resourceVersion?: number;
  };
};

export type ParsedInput =
  | { readonly kind: "valid"; readonly input: ResourceInput }
  | {
      readonly kind: "invalid";
      readonly faults: readonly Fault[];
      /** The fields of the spec that are as the schema has them, for what else is to be said of them. */
      readonly sound?: KindAndParts;
    };

const closed = { additionalProperties: false };
const revision = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** The whole document of one kind as its writer writes it; `spec` may be a reference to the spec's schema. */
export function inputSchemaOf(kind: Kind, spec: TSchema = SPEC_SCHEMAS[kind]): TSchema {
  return Type.Object(
    {
      apiVersion: Type.Literal(API_VERSION),
      kind: Type.Literal(kind),
      metadata: Type.Object(
        {
          name: Type.String({ pattern: namePatternOf(kind) }),
          labels: Type.Optional(labelsSchema),
          resourceVersion: Type.Optional(revision),
        },
        closed,
      ),
      spec,
    },
    closed,
  );
}

/** The whole document of one kind as the log stores it, and with `joined` as the API answers it. */
export function storedSchemaOf(kind: Kind, spec: TSchema = SPEC_SCHEMAS[kind], joined: TProperties = {}): TSchema {
  return Type.Object(
    {
      apiVersion: Type.Literal(API_VERSION),
      kind: Type.Literal(kind),
      metadata: Type.Object(
        {
          name: Type.String({ pattern: namePatternOf(kind) }),
          labels: labelsSchema,
          generation: revision,
          resourceVersion: revision,
          createdAtMs: revision,
        },
        closed,
      ),
      spec,
      ...joined,
    },
    closed,
  );
}

/** Of one document; the library stops at 8, and a value that is none of two shapes has six. */
const SCHEMA_ERRORS_MAX = 1_000;

const PART_SCHEMAS = new Map(KINDS.map((kind) => [kind, Type.Partial(SPEC_SCHEMAS[kind])]));
const INPUT_SCHEMAS = new Map(KINDS.map((kind) => [kind, inputSchemaOf(kind)]));
const STORED_SCHEMAS = new Map(KINDS.map((kind) => [kind, storedSchemaOf(kind)]));
/** Compiling a check takes as long as this many interpreted ones (3 ms, 70 µs; then 2 µs each): a small set starts without. */
const CHECKS_BEFORE_COMPILING = 50;
const STORED_CHECKS = new Map(KINDS.map((kind) => [kind, storedCheckOf(kind)]));

/** Applies defaults, then says everything that is wrong. `nowMs` is the time of a purge or tombstone that gives none. */
export function parseResourceInput(value: unknown, { nowMs }: { readonly nowMs?: number } = {}): ParsedInput {
  const kind = kindOf(value);
  if (kind === undefined) return { kind: "invalid", faults: [kindFault(value)] };
  const schema = INPUT_SCHEMAS.get(kind);
  const document: unknown = Value.Default(schema ?? Type.Never(), structuredClone(value));
  if ((kind === "Purge" || kind === "Tombstone") && nowMs !== undefined) setOrderTime(document, nowMs);
  const faults = faultsOf(errorsOf(schema ?? Type.Never(), document), value, schema);
  // What the well-formed fields of the spec contradict is said together with what is wrong with the others.
  const { sound, faulty } = soundParts(kind, document);
  const contradictions = sound === undefined ? [] : findContradictions(sound, faulty);
  if (faults.length + contradictions.length > 0 || !isInput(document)) {
    return { kind: "invalid", faults: [...faults, ...contradictions], ...(sound === undefined ? {} : { sound }) };
  }
  return {
    kind: "valid",
    input: { ...document, metadata: { ...document.metadata, labels: document.metadata.labels ?? {} } },
  };
}

/** Parses a stored row's JSON; throws `resource-invalid` with every fault. Fields of a later version are refused, never dropped. */
export function parseStoredResource(json: string): AnyResource {
  const value = parseJson(json);
  if (isStored(value)) return value;
  const kind = kindOf(value);
  const schema = kind === undefined ? undefined : STORED_SCHEMAS.get(kind);
  const faults = schema === undefined ? [kindFault(value)] : faultsOf(Value.Errors(schema, value), value);
  throw new Failure("resource-invalid", faults.map((fault) => fault.message).join("; "), { detail: { faults } });
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new Failure("resource-invalid", `a resource must be JSON: ${String(cause)}`, { cause });
  }
}

function kindOf(value: unknown): Kind | undefined {
  if (typeof value !== "object" || value === null || !("kind" in value)) return undefined;
  return typeof value.kind === "string" && isKind(value.kind) ? value.kind : undefined;
}

function setOrderTime(document: unknown, nowMs: number): void {
  if (typeof document !== "object" || document === null || !("spec" in document)) return;
  const { spec } = document;
  if (typeof spec === "object" && spec !== null && !("atMs" in spec)) Object.assign(spec, { atMs: nowMs });
}

function kindFault(value: unknown): Fault {
  const got = typeof value === "object" && value !== null && "kind" in value ? JSON.stringify(value.kind) : "nothing";
  return { pointer: "/kind", message: `kind must be one of ${KINDS.join(", ")}, got ${got}` };
}

/** The schemas and the domain types are held equal by `specSchema`; this is the one place that says so to the compiler. */
function isInput(value: unknown): value is ResourceInput & { readonly metadata: { readonly labels?: Labels } } {
  const kind = kindOf(value);
  return kind !== undefined && Value.Check(INPUT_SCHEMAS.get(kind) ?? Type.Never(), value);
}

/** All of them, where `Value.Errors` alone leaves off without a word. */
function errorsOf(schema: TSchema, value: unknown): ReturnType<typeof Value.Errors> {
  const { maxErrors } = Settings.Get();
  Settings.Set({ maxErrors: SCHEMA_ERRORS_MAX });
  try {
    return Value.Errors(schema, value);
  } finally {
    Settings.Set({ maxErrors });
  }
}

/** The fields of a spec that are as the schema has them, and the names of those that are not or are lacking. */
function soundParts(kind: Kind, document: unknown): { sound?: KindAndParts; faulty: ReadonlySet<string> } {
  const spec = typeof document === "object" && document !== null && "spec" in document ? document.spec : undefined;
  if (typeof spec !== "object" || spec === null) return { faulty: new Set() };
  const properties: [string, TSchema][] = Object.entries(SPEC_SCHEMAS[kind].properties);
  const written = new Map<string, unknown>(Object.entries(spec));
  const isSound = ([field, schema]: [string, TSchema]) =>
    written.has(field) ? Value.Check(schema, written.get(field)) : Type.IsOptional(schema);
  const fields = properties.map(([field]) => field);
  const misspelt = [...written.keys()].filter((key) => !fields.includes(key));
  const faulty = new Set([
    ...properties.filter((property) => !isSound(property)).map(([field]) => field),
    // What was meant is not there, whatever its default is.
    ...misspelt.flatMap((key) => nearestNames(key, fields)),
  ]);
  const parts = properties.flatMap(([field]): [string, unknown][] =>
    written.has(field) && !faulty.has(field) ? [[field, written.get(field)]] : [],
  );
  const sound: unknown = { kind, spec: Object.fromEntries(parts) };
  return isParts(kind, sound) ? { sound, faulty } : { faulty };
}

function isParts(kind: Kind, value: unknown): value is KindAndParts {
  return (
    typeof value === "object" &&
    value !== null &&
    "spec" in value &&
    Value.Check(PART_SCHEMAS.get(kind) ?? Type.Never(), value.spec)
  );
}

function isStored(value: unknown): value is AnyResource {
  const kind = kindOf(value);
  return kind !== undefined && STORED_CHECKS.get(kind)?.(value) === true;
}

function storedCheckOf(kind: Kind): (value: unknown) => boolean {
  const schema = STORED_SCHEMAS.get(kind) ?? Type.Never();
  let checks = 0;
  let compiled: ReturnType<typeof Compile> | undefined;
  return (value) => {
    checks += 1;
    if (checks > CHECKS_BEFORE_COMPILING) compiled ??= Compile(schema);
    return compiled === undefined ? Value.Check(schema, value) : compiled.Check(value);
  };
}
