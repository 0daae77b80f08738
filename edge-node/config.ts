/** The edge-node's configuration: one schema for type, validation, defaults and reference. */
import Type, { type Static } from "typebox";
import { PEER_ADDRESS_LENGTH_MAX, PEER_ADDRESS_PATTERN } from "#contracts/operator-api/resources/schemas.ts";
import { ORIGIN_ENDPOINTS_MAX } from "#domain/fleet/origin-endpoint.ts";
import { NAME_PATTERN } from "#domain/ids.ts";
import { zoneProperties } from "#platform/dns/config.ts";
import { LOG_LEVELS } from "#platform/logging.ts";
import { TRUSTED_NETWORKS_MAX } from "./access/trusted-proxies.ts";
import { PROCESSES_MAX } from "./process-count.ts";

const closed = { additionalProperties: false };
const address = (fallback: string, description: string) =>
  Type.String({ minLength: 3, default: fallback, description });
/** Named one by one; a folder may hold more. */
const PAIRS_MAX = 100;
const MEBIBYTE = 1024 * 1024;

const originListeners = {
  enrolment: address("127.0.0.1:7402", "the origin's enrolment listener"),
  nodeRpc: address("127.0.0.1:7401", "the origin's node listener"),
  delivery: address("127.0.0.1:7403", "the origin's delivery listener"),
};

export const edgeConfigSchema = Type.Object(
  {
    dataDir: Type.String({ minLength: 1, default: "./edge-data", description: "identity, desired state and content" }),
    name: Type.String({ pattern: NAME_PATTERN, description: "the node's name, which its join token is bound to" }),
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
        content: address("127.0.0.1:7420", "content, probes and sessions (HTTP)"),
        site: address("127.0.0.1:7421", "render-agents of the pool (gRPC, mutual TLS)"),
        siteEnrolment: address("127.0.0.1:7422", "joining render-agents, relayed to the origin (gRPC, TLS)"),
        admin: address("127.0.0.1:7429", "/metrics, /healthz, /readyz (HTTP)"),
      },
      { ...closed, default: {} },
    ),
    tls: Type.Optional(
      Type.Object(
        {
          listen: address("127.0.0.1:7424", "what the content listener answers, inside TLS: HTTP/1.1 and HTTP/2"),
          certificates: Type.Array(
            Type.Object(
              { certificateFile: Type.String({ minLength: 1 }), keyFile: Type.String({ minLength: 1 }) },
              closed,
            ),
            {
              default: [],
              maxItems: PAIRS_MAX,
              description: "PEM files; the first is for clients that name no server",
            },
          ),
          folder: Type.Optional(
            Type.String({
              minLength: 1,
              description: "pairs NAME.crt and NAME.key, or fullchain.pem and privkey.pem a folder below",
            }),
          ),
        },
        closed,
      ),
    ),
    peer: Type.Optional(
      Type.Object(
        {
          listen: address("127.0.0.1:7423", "other edges, of this pool and of those below it (HTTP, mutual TLS)"),
          address: Type.Optional(
            Type.String({
              pattern: PEER_ADDRESS_PATTERN,
              maxLength: PEER_ADDRESS_LENGTH_MAX,
              description: "where they reach it, where that is not `listen`",
            }),
          ),
        },
        closed,
      ),
    ),
    probe: Type.Optional(
      Type.Object(
        {
          listen: address("127.0.0.1:7424", "clients that measure their round trip (UDP), as 0.0.0.0:7424"),
          address: Type.Optional(
            Type.String({
              pattern: PEER_ADDRESS_PATTERN,
              maxLength: PEER_ADDRESS_LENGTH_MAX,
              description: "IP address and port where they reach it, where that is not `listen`",
            }),
          ),
        },
        closed,
      ),
    ),
    dns: Type.Optional(
      Type.Object(
        { listen: address("127.0.0.1:7425", "resolvers (DNS over UDP and TCP), as 0.0.0.0:53"), ...zoneProperties },
        closed,
      ),
    ),
    contentUrl: Type.String({ pattern: "^https?://[^/]+$", description: "where clients reach the content listener" }),
    hostname: Type.String({ minLength: 1, description: "the node's host name: SITE.HOSTNAME is a site at this node" }),
    store: Type.Object(
      {
        diskBytesMax: Type.Integer({
          minimum: MEBIBYTE,
          maximum: Number.MAX_SAFE_INTEGER,
          default: 10 * 1024 * MEBIBYTE,
          description: "published objects and stored responses on disk, half each",
        }),
        memoryBytesMax: Type.Integer({
          minimum: MEBIBYTE,
          maximum: Number.MAX_SAFE_INTEGER,
          default: 64 * MEBIBYTE,
          description: "the same in memory, half each",
        }),
      },
      { ...closed, default: {} },
    ),
    reports: Type.Object(
      {
        diskBytesMax: Type.Integer({
          minimum: MEBIBYTE,
          maximum: 1024 * MEBIBYTE,
          default: 64 * MEBIBYTE,
          description: "records on disk that the origin does not have yet; past it the least important are given up",
        }),
        usageSeconds: Type.Integer({
          minimum: 10,
          maximum: 3600,
          default: 60,
          description: "how often it is written down what sites were used; a kill loses as much of the counts",
        }),
      },
      { ...closed, default: {} },
    ),
    trustedProxies: Type.Optional(
      Type.Object(
        {
          networks: Type.Array(Type.String({ minLength: 1 }), {
            minItems: 1,
            maxItems: TRUSTED_NETWORKS_MAX,
            description: "in CIDR form: of proxies in front, whose word on who asks is believed",
          }),
          field: Type.String({
            pattern: "^[A-Za-z0-9-]+$",
            default: "x-forwarded-for",
            description: "where they say it, the nearest last",
          }),
        },
        closed,
      ),
    ),
    processes: Type.Integer({
      minimum: 1,
      maximum: PROCESSES_MAX,
      default: 1,
      description: "that answer at the content listener and inside TLS, this one included, over one store",
    }),
    accessLog: Type.String({
      minLength: 1,
      default: "off",
      description: "a JSON line a request: a file, - for standard output, or off",
    }),
    logLevel: Type.Enum([...LOG_LEVELS], { default: "info" }),
  },
  closed,
);

export type EdgeConfig = Static<typeof edgeConfigSchema>;
