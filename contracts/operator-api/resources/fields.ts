/** The fields that several resources' schemas are made of. */
import Type, { type Static, type TSchema } from "typebox";
import { NAME_PATTERN } from "#domain/ids.ts";
import type { Kind, SpecByKind } from "#domain/resource.ts";

/** Kubernetes' own limits for labels are close to this; a resource must stay far under the batch limit. */
export const LABELS_MAX = 64;
export const LABEL_LENGTH_MAX = 63;
/** Ten years: long enough for ever, short enough that milliseconds stay exact. */
export const DURATION_SECONDS_MAX = 315_360_000;

export const closed = { additionalProperties: false };
export const name = (description?: string) =>
  Type.String({ pattern: NAME_PATTERN, ...(description === undefined ? {} : { description }) });
export const seconds = Type.Integer({ minimum: 0, maximum: DURATION_SECONDS_MAX });
export const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
export const label = Type.String({ minLength: 1, maxLength: 253 });
export const labelValue = Type.String({ maxLength: LABEL_LENGTH_MAX });

/** Compiles only while schema and domain type say the same, in both directions. */
export function specSchema<K extends Kind>() {
  return <S extends TSchema>(schema: Static<S> extends SpecByKind[K] ? S : never): S => schema;
}

export const labelsSchema = Type.Record(label, labelValue, { maxProperties: LABELS_MAX });
