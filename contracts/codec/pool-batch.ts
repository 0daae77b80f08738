/** Batches and watermarks of the desired state, wire ↔ domain. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { DesiredRow, PoolBatch, Timeline, Tombstone, Watermark } from "#domain/desired-state.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { isKind } from "#domain/resource.ts";
import {
  type PoolBatch as PoolBatchMessage,
  PoolBatchSchema,
  type Row,
  type Watermark as WatermarkMessage,
  WatermarkSchema,
} from "../generated/perigee/v1/common_pb.js";
import { parseStoredResource } from "../operator-api/resources/parse.ts";
import { fromUint64, toUint64 } from "./numbers.ts";

/** The bytes that are signed and passed on unopened. */
export function encodePoolBatch(batch: PoolBatch): Uint8Array {
  const message = create(PoolBatchSchema, {
    epoch: toUint64(batch.epoch),
    pool: batch.pool,
    from: toUint64(batch.from),
    to: toUint64(batch.to),
    snapshot: batch.snapshot,
    part: batch.part,
    last: batch.last,
    rows: batch.rows.map(toRow),
    setDigest: Buffer.from(batch.setDigest, "hex"),
    tombstones: (batch.tombstones ?? []).map(toTombstone),
    epochProof: batch.epochProof ?? new Uint8Array(),
    epochAuthority: batch.epochAuthority ?? new Uint8Array(),
    timelines: (batch.timelines ?? []).map(({ id, after }) => ({ name: id, revision: toUint64(after) })),
  });
  return toBinary(PoolBatchSchema, message);
}

/** Throws `argument-invalid` for bytes that are no batch and `resource-invalid` for a row's resource. */
export function decodePoolBatch(bytes: Uint8Array): PoolBatch {
  const message = readMessage(bytes);
  return {
    epoch: fromUint64(message.epoch, "epoch"),
    pool: message.pool,
    from: fromUint64(message.from, "from"),
    to: fromUint64(message.to, "to"),
    snapshot: message.snapshot,
    part: message.part,
    last: message.last,
    rows: message.rows.map(fromRow),
    setDigest: Buffer.from(message.setDigest).toString("hex"),
    ...(message.tombstones.length === 0 ? {} : { tombstones: message.tombstones.flatMap(fromTombstone) }),
    ...(message.epochProof.byteLength === 0 ? {} : { epochProof: message.epochProof }),
    ...(message.epochAuthority.byteLength === 0 ? {} : { epochAuthority: message.epochAuthority }),
    ...(message.timelines.length === 0 ? {} : { timelines: message.timelines.map(fromTimeline) }),
  };
}

/** Of the set that the batch leads to, without reading its rows. */
export function setDigestIn(bytes: Uint8Array): string {
  return Buffer.from(readMessage(bytes).setDigest).toString("hex");
}

function readMessage(bytes: Uint8Array): PoolBatchMessage {
  try {
    return fromBinary(PoolBatchSchema, bytes);
  } catch (cause) {
    if (isFailure(cause)) throw cause;
    throw new Failure("argument-invalid", "the batch cannot be read: not a perigee.v1.PoolBatch", { cause });
  }
}

function toRow({ revision, kind, name, resource }: DesiredRow) {
  const json = resource === undefined ? "" : JSON.stringify(resource);
  return { revision: toUint64(revision), kind, name, deleted: resource === undefined, resource: Buffer.from(json) };
}

function toTombstone({ revision, kind, name }: Tombstone) {
  return { revision: toUint64(revision), kind, name, deleted: true };
}

/** Of a kind that is not known here nothing is held that could be gone. */
function fromTombstone({ revision, kind, name }: Row): readonly Tombstone[] {
  return isKind(kind) ? [{ revision: fromUint64(revision, "tombstone revision"), kind, name }] : [];
}

function fromTimeline({ name, revision }: Row): Timeline {
  return { id: name, after: fromUint64(revision, "timeline revision") };
}

function fromRow(row: Row): DesiredRow {
  const revision = fromUint64(row.revision, "row revision");
  if (!isKind(row.kind)) throw new Failure("resource-invalid", `row ${revision} is of the unknown kind ${row.kind}`);
  if (row.deleted) return { revision, kind: row.kind, name: row.name, resource: undefined };
  const resource = parseStoredResource(Buffer.from(row.resource).toString());
  if (resource.kind !== row.kind || resource.metadata.name !== row.name) {
    throw new Failure(
      "resource-invalid",
      `row ${revision} is named ${row.kind}/${row.name} and holds ${resource.kind}/${resource.metadata.name}`,
    );
  }
  return { revision, kind: row.kind, name: row.name, resource };
}

export function toWatermark({ epoch, revision, setDigest, timeline = "" }: Watermark): WatermarkMessage {
  return create(WatermarkSchema, {
    epoch: toUint64(epoch),
    revision: toUint64(revision),
    setDigest: Buffer.from(setDigest, "hex"),
    timeline,
  });
}

export function fromWatermark(message: WatermarkMessage): Watermark {
  return {
    epoch: fromUint64(message.epoch, "epoch"),
    revision: fromUint64(message.revision, "revision"),
    setDigest: Buffer.from(message.setDigest).toString("hex"),
    ...(message.timeline === "" ? {} : { timeline: message.timeline }),
  };
}
