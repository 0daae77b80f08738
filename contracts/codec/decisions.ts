/** What a scheduler decides to write and how the origin answers it, wire ↔ domain. */
import { create } from "@bufbuild/protobuf";
import { Failure } from "#domain/failure.ts";
import {
  type Decision as DecisionMessage,
  type DecisionResult as DecisionResultMessage,
  DecisionResultSchema,
  DecisionSchema,
} from "../generated/perigee/v1/scheduler_pb.js";
import { fromUint64, toUint64 } from "./numbers.ts";

export interface Decision {
  /** Comes back in the result. */
  readonly request: number;
  /** The whole document, as its writer writes it; not judged here. */
  readonly resource: unknown;
  /** What compare-and-swap expects; 0 where there is none yet. */
  readonly expectedResourceVersion: number;
}

export interface DecisionResult {
  readonly request: number;
  readonly accepted: boolean;
  /** What was written, or what is there instead. */
  readonly resourceVersion: number;
  /** Both empty where it was accepted. */
  readonly code: string;
  readonly message: string;
}

export function toDecision({ request, resource, expectedResourceVersion }: Decision): DecisionMessage {
  return create(DecisionSchema, {
    request: toUint64(request),
    resource: Buffer.from(JSON.stringify(resource)),
    expectedResourceVersion: toUint64(expectedResourceVersion),
  });
}

/** Throws `argument-invalid` for numbers out of range and `resource-invalid` for a resource that is no JSON. */
export function fromDecision({ request, resource, expectedResourceVersion }: DecisionMessage): Decision {
  return {
    request: fromUint64(request, "request"),
    resource: parseJson(Buffer.from(resource).toString()),
    expectedResourceVersion: fromUint64(expectedResourceVersion, "expectedResourceVersion"),
  };
}

export function toDecisionResult(result: DecisionResult): DecisionResultMessage {
  const { request, resourceVersion } = result;
  return create(DecisionResultSchema, {
    ...result,
    request: toUint64(request),
    resourceVersion: toUint64(resourceVersion),
  });
}

/** Throws `argument-invalid` for numbers out of range. */
export function fromDecisionResult(message: DecisionResultMessage): DecisionResult {
  return {
    request: fromUint64(message.request, "request"),
    accepted: message.accepted,
    resourceVersion: fromUint64(message.resourceVersion, "resourceVersion"),
    code: message.code,
    message: message.message,
  };
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new Failure("resource-invalid", `a decision's resource must be JSON: ${String(cause)}`, { cause });
  }
}
