/** Records that a node reports once and for all, wire ↔ domain. */
import { create } from "@bufbuild/protobuf";
import { type Report, type ReportBatch, ReportBatchSchema } from "../generated/perigee/v1/node_pb.js";
import { fromUint64, toUint64 } from "./numbers.ts";

export interface NodeReport {
  /** Unique for the node: a report that arrives twice is kept once. */
  readonly id: string;
  readonly kind: string;
  readonly atMs: number;
  /** JSON text. */
  readonly json: string;
}

export interface NodeReportBatch {
  /** Acknowledges this batch and all before it. */
  readonly sequence: number;
  readonly reports: readonly NodeReport[];
}

export function toReportBatch({ sequence, reports }: NodeReportBatch): ReportBatch {
  return create(ReportBatchSchema, {
    sequence: toUint64(sequence),
    reports: reports.map(({ id, kind, atMs, json }) => ({ id, kind, atMs: toUint64(atMs), json: Buffer.from(json) })),
  });
}

/** Throws `argument-invalid` for numbers out of range. */
export function fromReportBatch({ sequence, reports }: ReportBatch): NodeReportBatch {
  return { sequence: fromUint64(sequence, "sequence"), reports: reports.map(fromReport) };
}

function fromReport({ id, kind, atMs, json }: Report): NodeReport {
  return { id, kind, atMs: fromUint64(atMs, "report time"), json: Buffer.from(json).toString() };
}
