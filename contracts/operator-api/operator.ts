/** The origin's operator API: bodies of requests and answers, and the limits on them. */
import Type, { type Static } from "typebox";
import { DIGEST_PATTERN } from "#domain/content/release.ts";
import { NODE_ROLES } from "#domain/fleet/node.ts";
import { DOTTED_NAME_PATTERN, NAME_PATTERN } from "#domain/ids.ts";

/** One request applies at most so many documents; a folder with more is applied in parts. */
export const APPLY_DOCUMENTS_MAX = 500;
/** Files of one release; a site with more is split. */
export const RELEASE_FILES_MAX = 100_000;
export const JOIN_TOKEN_LIFETIME_SECONDS_DEFAULT = 3600;
export const JOIN_TOKEN_LIFETIME_SECONDS_MAX = 604_800;
export const APP_TOKEN_LIFETIME_SECONDS_DEFAULT = 2_592_000;
export const OPERATOR_TOKEN_LIFETIME_SECONDS_DEFAULT = 7_776_000;
export const TOKEN_LIFETIME_SECONDS_MAX = 31_536_000;

const closed = { additionalProperties: false };
const name = Type.String({ pattern: NAME_PATTERN });
const generation = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const faultSchema = Type.Object({ pointer: Type.String(), message: Type.String() }, closed);
const warningsSchema = Type.Array(Type.Object({ document: Type.Integer(), ...faultSchema.properties }, closed));

/** `POST /v1/apply?dryRun=true|false`: documents as operators write them; all or none are applied. */
export const applyRequestSchema = Type.Object(
  { documents: Type.Array(Type.Unknown(), { minItems: 1, maxItems: APPLY_DOCUMENTS_MAX }) },
  closed,
);
export const applyResultSchema = Type.Object(
  {
    revision: Type.Integer(),
    dryRun: Type.Boolean(),
    results: Type.Array(
      Type.Object(
        {
          kind: Type.String(),
          name: Type.String(),
          action: Type.Union([Type.Literal("created"), Type.Literal("changed"), Type.Literal("unchanged")]),
          resourceVersion: Type.Integer(),
          /** JSON pointers whose value differs from what is stored. */
          changed: Type.Array(Type.String()),
        },
        closed,
      ),
    ),
    /** What is suspicious and was not refused: of policies beside one another and over the fleet. */
    warnings: warningsSchema,
  },
  closed,
);
/** In the problem's `faults` when documents are refused (`resource-invalid`); nothing was applied. */
export const applyFaultsSchema = Type.Array(
  Type.Object({ document: Type.Integer(), ...faultSchema.properties }, closed),
);

/** `GET /v1/resources/{kind}` and `GET|DELETE /v1/resources/{kind}/{name}`. A resource's `status` is joined where there is one. */
export const resourceParamsSchema = Type.Object(
  { kind: Type.String(), name: Type.Optional(Type.String({ pattern: DOTTED_NAME_PATTERN })) },
  closed,
);
/** `DELETE …?force=true|false`. Absent warnings are none; what is deleted counts as document 0. */
export const deletedSchema = Type.Object({ revision: Type.Integer(), warnings: Type.Optional(warningsSchema) }, closed);
/** `POST /v1/rollout/let-out`. */
export const letOutSchema = Type.Object({ revision: Type.Integer() }, closed);
export const resourceListSchema = Type.Object({ revision: Type.Integer(), items: Type.Array(Type.Unknown()) }, closed);

/** `POST /v1/sites/{site}/missing-blobs`: which of these the origin has not. */
export const missingBlobsSchema = Type.Object(
  { digests: Type.Array(Type.String({ pattern: DIGEST_PATTERN }), { maxItems: RELEASE_FILES_MAX }) },
  closed,
);
/** `PUT /v1/sites/{site}/blobs/{digest}`: the bytes themselves, application/octet-stream; idempotent. */
export const uploadedSchema = Type.Object({ digest: Type.String(), sizeBytes: Type.Integer() }, closed);

const encodedBlob = Type.Object({ digest: Type.String({ pattern: DIGEST_PATTERN }) }, closed);

/** `POST /v1/sites/{site}/releases`: all blobs are there already. */
export const releaseRequestSchema = Type.Object(
  {
    files: Type.Record(
      Type.String({ pattern: "^/" }),
      Type.Object(
        {
          digest: Type.String({ pattern: DIGEST_PATTERN }),
          mediaType: Type.String({ minLength: 1, maxLength: 255 }),
          fields: Type.Optional(
            Type.Record(Type.String({ pattern: "^[a-z0-9-]+$" }), Type.String({ maxLength: 4096 })),
          ),
          encodings: Type.Optional(
            Type.Object(
              {
                br: Type.Optional(encodedBlob),
                zstd: Type.Optional(encodedBlob),
                gzip: Type.Optional(encodedBlob),
              },
              { ...closed, description: "the same content in content codings, for user agents that accept them" },
            ),
          ),
        },
        closed,
      ),
      { maxProperties: RELEASE_FILES_MAX },
    ),
    activateAtMs: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  closed,
);
/** `POST /v1/sites/{site}/rollback`. */
export const rollbackRequestSchema = Type.Object({ toGeneration: generation }, closed);
export const releaseResultSchema = Type.Object(
  {
    site: name,
    generation,
    files: Type.Integer(),
    bytes: Type.Integer(),
    manifestDigest: Type.String(),
    revision: Type.Integer(),
  },
  closed,
);

/** At most ten years. One that is shorter than a certificate's life and grace locks out who renews later. */
const overlapSeconds = Type.Integer({ minimum: 1, maximum: 315_360_000 });

/** `POST /v1/authority/rotation`; the overlap is what nobody is locked out by, unless said. */
export const rotationRequestSchema = Type.Object({ overlapSeconds: Type.Optional(overlapSeconds) }, closed);

const authority = { certificatePin: Type.String(), expiresAtMs: Type.Integer() };

/** `GET /v1/authority` */
export const authoritySchema = Type.Object(
  {
    /** What joining nodes are told. */
    pin: Type.String(),
    issuing: Type.Object(authority, closed),
    retiring: Type.Optional(Type.Object({ ...authority, retiresAtMs: Type.Integer() }, closed)),
  },
  closed,
);

/** `POST /v1/join-tokens`. */
export const joinTokenRequestSchema = Type.Object(
  {
    role: Type.Enum([...NODE_ROLES]),
    name,
    /** Absent for a scheduler. */
    pool: Type.Optional(name),
    labels: Type.Optional(Type.Record(Type.String(), Type.String())),
    lifetimeSeconds: Type.Integer({
      minimum: 60,
      maximum: JOIN_TOKEN_LIFETIME_SECONDS_MAX,
      default: JOIN_TOKEN_LIFETIME_SECONDS_DEFAULT,
    }),
  },
  closed,
);
export const joinTokenResultSchema = Type.Object(
  { token: Type.String(), pin: Type.String(), expiresAtMs: Type.Integer() },
  closed,
);

/** `POST /v1/app-tokens`. */
export const appTokenRequestSchema = Type.Object(
  {
    app: name,
    origins: Type.Array(Type.String({ maxLength: 255 }), { minItems: 1, maxItems: 32 }),
    maxSessions: Type.Integer({ minimum: 1, maximum: 1_000_000, default: 100 }),
    tenant: Type.Optional({ ...name, description: "whose sessions they are; policies match it" }),
    lifetimeSeconds: Type.Integer({
      minimum: 60,
      maximum: TOKEN_LIFETIME_SECONDS_MAX,
      default: APP_TOKEN_LIFETIME_SECONDS_DEFAULT,
    }),
  },
  closed,
);
/** `POST /v1/operator-tokens`; scopes are `admin`, `read`, `apply`, `join`, `publish:SITE` and `publish:*`. */
export const operatorTokenRequestSchema = Type.Object(
  {
    subject: Type.String({ minLength: 1, maxLength: 128 }),
    scopes: Type.Array(Type.String({ pattern: "^(admin|read|apply|join|publish:([a-z0-9-]{1,63}|\\*))$" }), {
      minItems: 1,
      maxItems: 32,
    }),
    lifetimeSeconds: Type.Integer({
      minimum: 60,
      maximum: TOKEN_LIFETIME_SECONDS_MAX,
      default: OPERATOR_TOKEN_LIFETIME_SECONDS_DEFAULT,
    }),
  },
  closed,
);
export const tokenResultSchema = Type.Object(
  { token: Type.String(), id: Type.String(), expiresAtMs: Type.Integer() },
  closed,
);

/** `GET /v1/nodes`: what is observed, joined with the scheduler's word on each node. */
export const nodeListSchema = Type.Object({ items: Type.Array(Type.Unknown()) }, closed);

export type ApplyRequest = Static<typeof applyRequestSchema>;
export type DeletedResult = Static<typeof deletedSchema>;
export type ApplyResult = Static<typeof applyResultSchema>;
export type ReleaseRequest = Static<typeof releaseRequestSchema>;
export type ReleaseResult = Static<typeof releaseResultSchema>;
export type JoinTokenRequest = Static<typeof joinTokenRequestSchema>;
export type JoinTokenResult = Static<typeof joinTokenResultSchema>;
export type AppTokenRequest = Static<typeof appTokenRequestSchema>;
export type OperatorTokenRequest = Static<typeof operatorTokenRequestSchema>;
export type TokenResult = Static<typeof tokenResultSchema>;
