/** The revisions of a policy as operators read them. */
import Type from "typebox";
import { DOTTED_NAME_PATTERN } from "#domain/ids.ts";

const closed = { additionalProperties: false };
const revision = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const named = { kind: Type.String(), name: Type.String({ pattern: DOTTED_NAME_PATTERN }) };

/** `GET /v1/resources/{kind}/{name}/revisions` and `…/revisions/{revision}`. */
export const revisionsParamsSchema = Type.Object(named, closed);
export const revisionParamsSchema = Type.Object({ ...named, revision }, closed);
export const revisionListSchema = Type.Object(
  {
    /** The newest first. */
    items: Type.Array(
      Type.Object(
        {
          revision,
          /** 0 where it is the deletion. */
          generation: Type.Integer(),
          deleted: Type.Boolean(),
          seenAtMs: Type.Number({ description: "when this origin first read it of the log" }),
          /** JSON pointers whose value differs from the revision before; of the oldest that is kept, all. */
          changed: Type.Array(Type.String()),
        },
        closed,
      ),
    ),
  },
  closed,
);
