/** How the log lies in etcd: its keys, and what their values say. Pure but for the bytes of text. */
import Type, { type Static, type TSchema } from "typebox";
import { Value } from "typebox/value";
import type { Timeline } from "#domain/desired-state.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { isKind } from "#domain/resource.ts";
import type { Kept, LogRow } from "../resource-log.ts";

/** Of the keys and values below; a program that does not know it leaves them alone. */
const FORMAT = 1;
/** As many digits as the largest whole number that JavaScript counts exactly, so that keys sort as their revisions do. */
const REVISION_DIGITS = 16;

const closed = { additionalProperties: false };
const count = Type.Integer({ minimum: 0 });

const headSchema = Type.Object(
  {
    format: Type.Literal(FORMAT),
    epoch: Type.Integer({ minimum: 1 }),
    revision: count,
    compacted: count,
    held: Type.Optional(Type.Array(count)),
  },
  closed,
);
const batchSchema = Type.Object(
  {
    id: Type.String(),
    rows: Type.Array(
      Type.Object(
        { revision: count, kind: Type.String(), name: Type.String(), deleted: Type.Boolean(), json: Type.String() },
        closed,
      ),
    ),
  },
  closed,
);

/** The log's own count: every write changes it, and goes through only where it is what the writer saw. */
export interface Head {
  readonly epoch: number;
  /** Of the last change. */
  readonly revision: number;
  readonly compacted: number;
  /** Before the floor, and not forgotten: what a restore found held back from some pools. */
  readonly held: readonly number[];
}

/** What one write appended, less what compaction took of it. */
export interface Batch {
  /** The write's own: tells whether a write whose answer was lost is there. */
  readonly id: string;
  readonly rows: readonly LogRow[];
}

export type Entry =
  | { readonly kind: "head" }
  | { readonly kind: "batch"; readonly first: number }
  | { readonly kind: "kept"; readonly name: string }
  | { readonly kind: "timelines" }
  | { readonly kind: "other" };

export class Layout {
  readonly prefix: string;

  /** Ends with a slash, whatever it is given as. */
  constructor(prefix: string) {
    this.prefix = prefix.endsWith("/") ? prefix : `${prefix}/`;
  }

  get head(): Buffer {
    return Buffer.from(`${this.prefix}head`);
  }

  get timelines(): Buffer {
    return Buffer.from(`${this.prefix}timelines`);
  }

  batch(first: number): Buffer {
    return Buffer.from(`${this.prefix}rows/${String(first).padStart(REVISION_DIGITS, "0")}`);
  }

  kept(name: string): Buffer {
    return Buffer.from(`${this.prefix}kept/${name}`);
  }

  /** All keys: from the first on, up to the second, which is none of them. */
  get range(): { readonly key: Buffer; readonly rangeEnd: Buffer } {
    return { key: Buffer.from(this.prefix), rangeEnd: Buffer.from(`${this.prefix.slice(0, -1)}0`) };
  }

  entryOf(key: Uint8Array): Entry {
    const text = Buffer.from(key).toString().slice(this.prefix.length);
    if (text === "head" || text === "timelines") return { kind: text };
    const [, folder, name = ""] = /^([a-z]+)\/(.*)$/s.exec(text) ?? [];
    if (folder === "rows" && /^\d+$/.test(name)) return { kind: "batch", first: Number(name) };
    return folder === "kept" ? { kind: "kept", name } : { kind: "other" };
  }
}

export function encodeHead({ epoch, revision, compacted, held }: Head): Buffer {
  // Only where there is something: programs that do not know the field then read the head as they did.
  const kept = held.length === 0 ? {} : { held };
  return Buffer.from(JSON.stringify({ format: FORMAT, epoch, revision, compacted, ...kept }));
}

export function decodeHead(value: Uint8Array): Head {
  const { epoch, revision, compacted, held = [] } = decode(headSchema, value, "the log's head");
  return { epoch, revision, compacted, held };
}

export function encodeBatch({ id, rows }: Batch): Buffer {
  return Buffer.from(JSON.stringify({ id, rows }));
}

export function decodeBatch(value: Uint8Array): Batch {
  const { id, rows } = decode(batchSchema, value, "rows of the log");
  return { id, rows: rows.map((row) => ({ ...row, kind: kindOf(row.kind) })) };
}

export function encodeKept(value: number): Buffer {
  return Buffer.from(JSON.stringify(value));
}

export function decodeKept(name: string, value: Uint8Array): Kept {
  return { name, value: decode(Type.Number(), value, "a number that the log keeps") };
}

export function encodeTimelines(timelines: readonly Timeline[]): Buffer {
  return Buffer.from(JSON.stringify(timelines));
}

export function decodeTimelines(value: Uint8Array): readonly Timeline[] {
  return decode(Type.Array(Type.Object({ id: Type.String(), after: count }, closed)), value, "the log's timelines");
}

function kindOf(kind: string) {
  if (isKind(kind)) return kind;
  throw unknownFormat(`a row of the log is of the kind ${kind}`, undefined);
}

function decode<T extends TSchema>(schema: T, value: Uint8Array, what: string): Static<T> {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value).toString());
    if (Value.Check(schema, parsed)) return parsed;
    throw unknownFormat(`what etcd has as ${what} has another form`, undefined);
  } catch (error) {
    throw isFailure(error) ? error : unknownFormat(`what etcd has as ${what} is not JSON`, error);
  }
}

function unknownFormat(what: string, cause: unknown): Failure {
  const message = `${what}: the prefix is another program's, or a newer origin wrote there; give the log its own prefix, or start the newer program`;
  return new Failure("storage-failed", message, { cause });
}
