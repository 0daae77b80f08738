/** The origin's configuration: one schema for type, validation, defaults and reference. */
import Type, { type Static } from "typebox";
import { LOG_LEVELS } from "#platform/logging.ts";

const closed = { additionalProperties: false };
const listen = (fallback: string, description: string) => Type.String({ minLength: 3, default: fallback, description });
const HOUR_SECONDS = 3600;

const file = (description: string) => Type.String({ minLength: 1, description });

const etcdSchema = Type.Object(
  {
    endpoints: Type.Array(Type.String({ minLength: 8 }), {
      minItems: 1,
      maxItems: 9,
      description: "http(s)://host:port of each member of one cluster",
    }),
    prefix: Type.String({
      minLength: 2,
      pattern: "^/",
      default: "/perigee/",
      description: "of the log's keys; every origin of one fleet has the same, and nobody else writes there",
    }),
    tls: Type.Optional(
      Type.Object(
        {
          authorityFile: file("PEM of who signed the members' certificates"),
          certificateFile: Type.Optional(file("PEM of the origin's own certificate, where members ask for one")),
          keyFile: Type.Optional(file("PEM of its key")),
        },
        closed,
      ),
    ),
  },
  closed,
);

export type EtcdConfig = Static<typeof etcdSchema>;

const s3Schema = Type.Object(
  {
    endpoint: Type.String({
      minLength: 8,
      description: "http(s)://host[:port] of the store; the bucket is in the path",
    }),
    region: Type.String({ minLength: 1, default: "us-east-1" }),
    bucket: Type.String({ minLength: 3, maxLength: 63, pattern: "^[a-z0-9.-]+$", description: "it has to be there" }),
    prefix: Type.String({
      pattern: "^([a-z0-9.-]+/)*$",
      default: "perigee/",
      description: "of the keys; every origin of one fleet has the same, and nobody else writes there",
    }),
    accessKeyId: Type.String({ minLength: 1 }),
    secretKeyFile: file("the secret key, one line"),
    authorityFile: Type.Optional(file("PEM of who signed the store's certificate, where it is no public authority")),
  },
  closed,
);

export const originConfigSchema = Type.Object(
  {
    dataDir: Type.String({ minLength: 1, default: "./origin-data", description: "keys, log, records and blobs" }),
    listen: Type.Object(
      {
        operatorApi: listen("127.0.0.1:7400", "operator API, its pages and the status page (HTTP)"),
        nodeRpc: listen("127.0.0.1:7401", "edges and schedulers (gRPC, mutual TLS)"),
        enrolment: listen("127.0.0.1:7402", "joining nodes (gRPC, TLS)"),
        delivery: listen("127.0.0.1:7403", "blobs for edges (HTTPS, mutual TLS)"),
        admin: listen("127.0.0.1:7409", "/metrics, /healthz, /readyz (HTTP)"),
      },
      { ...closed, default: {} },
    ),
    log: Type.Optional(
      Type.Object({ etcd: etcdSchema }, { ...closed, description: "where the log is, if not in the dataDir" }),
    ),
    blobs: Type.Optional(
      Type.Object({ s3: s3Schema }, { ...closed, description: "where blobs are, if not in the dataDir" }),
    ),
    acme: Type.Optional(
      Type.Object(
        {
          directoryUrl: Type.String({ pattern: "^https://", description: "of the authority (RFC 8555)" }),
          email: Type.Optional(Type.String({ minLength: 3, description: "where the authority writes to" })),
          authorityFile: Type.Optional(
            Type.String({
              minLength: 1,
              description: "PEM of who signed the directory's own certificate, where it is no public one",
            }),
          ),
        },
        { ...closed, description: "who certificates of sites with `acme: true` are ordered from" },
      ),
    ),
    firstTokenFile: Type.Optional(
      Type.String({ minLength: 1, description: "the first operator token is written here instead of printed" }),
    ),
    logRevisionsKept: Type.Integer({
      minimum: 100,
      maximum: 1_000_000,
      default: 10_000,
      description: "newest revisions a node may resume from; older ones are compacted",
    }),
    blobGraceSeconds: Type.Integer({
      minimum: 60,
      maximum: 30 * 24 * HOUR_SECONDS,
      default: 24 * HOUR_SECONDS,
      description: "how long an uploaded blob may wait for its release before it is collected",
    }),
    housekeepingSeconds: Type.Integer({ minimum: 1, maximum: 24 * HOUR_SECONDS, default: 300 }),
    logLevel: Type.Union(
      LOG_LEVELS.map((level) => Type.Literal(level)),
      { default: "info" },
    ),
  },
  closed,
);

export type OriginConfig = Static<typeof originConfigSchema>;
