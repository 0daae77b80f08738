/** The scheduler's configuration: one schema for type, validation, defaults and reference. */
import Type, { type Static } from "typebox";
import { ORIGIN_ENDPOINTS_MAX } from "#domain/fleet/origin-endpoint.ts";
import { NAME_PATTERN } from "#domain/ids.ts";
import { zoneSettingsSchema } from "#platform/dns/config.ts";
import { iceServersSchema } from "#platform/ice/ice-servers.ts";
import { LOG_LEVELS } from "#platform/logging.ts";

const closed = { additionalProperties: false };
const address = (fallback: string, description: string) =>
  Type.String({ minLength: 3, default: fallback, description });
/** More proxies than this are a network: name it by its prefix. */
const TRUSTED_PROXIES_MAX = 64;
/** Slower than this a crowd has come and gone (DESIGN section 8). */
const PRICING_TURN_SECONDS_MAX = 10;

const DECISION_LOG_BYTES_DEFAULT = 1024 ** 3;
/** A quarter is content's, and a log has room for several segments. */
const DECISION_LOG_BYTES_MIN = 32 * 1024 ** 2;

const originListeners = {
  enrolment: address("127.0.0.1:7402", "the origin's enrolment listener"),
  nodeRpc: address("127.0.0.1:7401", "the origin's node listener"),
};

const redisSchema = Type.Object(
  {
    url: Type.String({
      pattern: "^rediss?://[^/@]+$",
      description: "redis://host:port of one primary, or rediss:// over TLS",
    }),
    user: Type.Optional(Type.String({ minLength: 1, description: "of its access control list, if not the default" })),
    passwordFile: Type.Optional(Type.String({ minLength: 1, description: "the password, one line" })),
    authorityFile: Type.Optional(
      Type.String({
        minLength: 1,
        description: "PEM of who signed its certificate, where that is no public authority",
      }),
    ),
    prefix: Type.String({
      pattern: "^[A-Za-z0-9:/._-]+$",
      default: "perigee/",
      description: "of every key; all replicas of one fleet have the same, and nobody else writes there",
    }),
  },
  closed,
);

export const schedulerConfigSchema = Type.Object(
  {
    dataDir: Type.String({ minLength: 1, default: "./scheduler-data", description: "identity and desired state" }),
    name: Type.String({ pattern: NAME_PATTERN, description: "this replica's name, which its join token is bound to" }),
    join: Type.Optional(
      Type.Object(
        {
          tokenFile: Type.String({ minLength: 1, description: "the one-time join token; needed at the first start" }),
          pin: Type.String({ pattern: "^sha256:[0-9a-f]{64}$", description: "of the authority's certificate" }),
        },
        closed,
      ),
    ),
    origin: Type.Object(
      {
        ...originListeners,
        others: Type.Array(Type.Object(originListeners, closed), {
          default: [],
          maxItems: ORIGIN_ENDPOINTS_MAX - 1,
          description: "further origins of the same log, taken in turn with this one and those that it names itself",
        }),
      },
      { ...closed, default: {} },
    ),
    listen: Type.Object(
      {
        client: address("127.0.0.1:7410", "steering, measurements, sessions and `why` (HTTP)"),
        admin: address("127.0.0.1:7419", "/metrics, /healthz, /readyz (HTTP)"),
        dns: Type.Optional(
          Type.String({ minLength: 3, description: "the zones of `dns` (UDP and TCP), as 0.0.0.0:53" }),
        ),
      },
      { ...closed, default: {} },
    ),
    dns: Type.Optional(zoneSettingsSchema),
    clientUrl: Type.String({
      pattern: "^https?://[^/]+$",
      description: "where clients reach the client listener; their proofs name it",
    }),
    networksFile: Type.Optional(
      Type.String({ minLength: 1, description: "YAML: the operator's own networks, groups and coordinates" }),
    ),
    geoip: Type.Boolean({
      default: true,
      description: "places addresses of no known network by the GeoLite2 data of geoip-lite (110 MB of memory)",
    }),
    pricing: Type.Object(
      {
        enabled: Type.Boolean({
          default: true,
          description:
            "prices of contended pools, so that who can go elsewhere does; without, the nearest pool with room",
        }),
        turnSeconds: Type.Integer({
          minimum: 1,
          maximum: PRICING_TURN_SECONDS_MAX,
          default: 5,
          description: "between one solve of prices and the next",
        }),
      },
      { ...closed, default: {} },
    ),
    trustedProxies: Type.Array(Type.String({ minLength: 1 }), {
      maxItems: TRUSTED_PROXIES_MAX,
      default: [],
      description: "networks in CIDR form whose X-Forwarded-For is believed",
    }),
    ledger: Type.Optional(
      Type.Object(
        { redis: redisSchema },
        { ...closed, description: "where promises are kept, if not in this process" },
      ),
    ),
    iceServers: iceServersSchema("STUN and TURN servers that clients are handed with a placement"),
    decisionLogBytesMax: Type.Integer({
      minimum: DECISION_LOG_BYTES_MIN,
      maximum: Number.MAX_SAFE_INTEGER,
      default: DECISION_LOG_BYTES_DEFAULT,
      description: "decisions of the last day, in dataDir/decisions: the oldest go first, a quarter is for content's",
    }),
    steeringLoggedRatio: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0.01,
      description: "share of the decisions on content that is logged; those of sessions are all logged",
    }),
    logLevel: Type.Enum([...LOG_LEVELS], { default: "info" }),
  },
  closed,
);

export type SchedulerConfig = Static<typeof schedulerConfigSchema>;
