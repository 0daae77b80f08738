/** The render-agent's configuration: one schema for type, validation, defaults and reference. */
import Type, { type Static } from "typebox";
import { Failure } from "#domain/failure.ts";
import { NAME_PATTERN } from "#domain/ids.ts";
import { parseIceUrl } from "#domain/session/ice-server.ts";
import { isLoopbackHost, parseAddress } from "#platform/address.ts";
import { iceServersSchema } from "#platform/ice/ice-servers.ts";
import { LOG_LEVELS } from "#platform/logging.ts";
import { ENCODER_WISHES } from "./encoder/encoder-settings.ts";
import { FOVEATION_USUAL, FOVEATIONS } from "./encoder/foveation.ts";

const closed = { additionalProperties: false };
const address = (description: string) => Type.String({ minLength: 3, description });
const port = (description: string) => Type.Integer({ minimum: 0, maximum: 65_535, default: 0, description });

/** A pool has a few edges; each costs a stream. */
export const EDGES_MAX = 16;
/** Processes of some 100 MB each; no machine renders more. */
export const SLOTS_MAX = 256;
/** Each waits with its GPU device open. */
export const SPARES_MAX = 16;

export const agentConfigSchema = Type.Object(
  {
    dataDir: Type.String({ minLength: 1, default: "./agent-data", description: "identity, desired state and scenes" }),
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
    edges: Type.Array(
      Type.Object(
        {
          name: Type.String({ pattern: NAME_PATTERN, description: "the edge's node name, which its certificate has" }),
          control: address("its listener for render-agents (listen.site there)"),
          enrolment: address("where to join and renew through it (listen.siteEnrolment there)"),
        },
        closed,
      ),
      { minItems: 1, maxItems: EDGES_MAX, description: "every edge of the pool" },
    ),
    listen: Type.Object(
      {
        websocket: Type.String({
          minLength: 3,
          default: "127.0.0.1:7431",
          description: "sessions by WebSocket; loopback, or behind what terminates TLS (see websocketUrl)",
        }),
        admin: Type.String({
          minLength: 3,
          default: "127.0.0.1:7439",
          description: "/metrics, /healthz, /readyz (HTTP)",
        }),
      },
      { ...closed, default: {} },
    ),
    websocketUrl: Type.Optional(
      Type.String({
        pattern: "^wss?://[^/]+$",
        description: "where clients reach listen.websocket: ws://ADDRESS of it unless said; wss where not loopback",
      }),
    ),
    media: Type.Object(
      {
        bindAddress: Type.String({ minLength: 1, default: "127.0.0.1", description: "where WebRTC's UDP is bound" }),
        portBegin: port("first UDP port, one a session; 0 lets the system choose"),
        portEnd: port("last UDP port of the range"),
        iceServers: iceServersSchema(
          "STUN and TURN servers by which clients find the agent behind address translation",
        ),
        advertise: Type.Optional(
          Type.Object(
            {
              address: Type.String({ minLength: 1, description: "where clients reach the UDP ports" }),
              portOffset: Type.Integer({ minimum: -65_535, maximum: 65_535, default: 0, description: "added to each" }),
            },
            closed,
          ),
        ),
      },
      { ...closed, default: {} },
    ),
    capacity: Type.Object(
      {
        slotsMax: Type.Optional(
          Type.Integer({ minimum: 1, maximum: SLOTS_MAX, description: "sessions at once, whatever is measured" }),
        ),
        spares: Type.Integer({
          minimum: 0,
          maximum: SPARES_MAX,
          default: 1,
          description: "warm processes waiting for a session",
        }),
      },
      { ...closed, default: {} },
    ),
    encoder: Type.Enum([...ENCODER_WISHES], {
      default: "auto",
      description: "what encodes pictures; auto is the best that works, jpeg needs no package",
    }),
    foveation: Type.Enum([...FOVEATIONS], {
      default: FOVEATION_USUAL,
      description:
        "what headsets do not look at is coarser: fixed is around straight ahead, gaze where the client says its eyes look",
    }),
    logLevel: Type.Enum([...LOG_LEVELS], { default: "info" }),
  },
  closed,
);

export type AgentConfig = Static<typeof agentConfigSchema>;
export type MediaConfig = AgentConfig["media"];

/** What the schema cannot say. Throws `config-invalid` with every fault. */
export function checkAgentConfig(config: AgentConfig): void {
  const { media, listen, websocketUrl } = config;
  const faults: string[] = [];
  const isRange = media.portBegin > 0 && media.portEnd >= media.portBegin;
  if (!isRange && (media.portBegin !== 0 || media.portEnd !== 0)) {
    faults.push("media.portEnd must be at least media.portBegin, both above 0, or both 0");
  }
  faults.push(...iceFaultsOf(media));
  const names = config.edges.map((edge) => edge.name);
  if (new Set(names).size < names.length) faults.push("edges must have different names");
  const isLoopback = isLoopbackHost(parseAddress(listen.websocket).host);
  const { protocol, hostname } = new URL(websocketUrl ?? "ws://localhost");
  if (protocol === "ws:" && !isLoopbackHost(hostname.replace(/^\[(.+)\]$/, "$1"))) {
    faults.push("websocketUrl must be wss:// where it is not loopback: frames and poses are private");
  }
  if (!isLoopback && protocol === "ws:") {
    faults.push("listen.websocket must be loopback unless websocketUrl is wss:// of what terminates TLS before it");
  }
  if (faults.length > 0) throw new Failure("config-invalid", faults.map((fault) => `config: ${fault}`).join("\n"));
}

/** What libjuice, which speaks for the agent, cannot do. */
function iceFaultsOf({ iceServers, advertise, portBegin }: MediaConfig): readonly string[] {
  const urls = iceServers.flatMap((server) => server.urls);
  const relays = urls.filter((url) => url.startsWith("turn"));
  const faults = urls.flatMap((url) => {
    const { transport, scheme } = parseIceUrl(url) ?? {};
    return transport === "udp" && scheme?.endsWith("s") === false
      ? []
      : [`media.iceServers: ${url} must be by UDP without TLS: an agent knows no other way`];
  });
  if (urls.length > 0 && advertise !== undefined)
    faults.push("media.iceServers and media.advertise exclude each other: the one finds what the other says");
  if (relays.length > 0 && portBegin !== 0)
    faults.push(
      "media.iceServers with turn: needs media.portBegin and portEnd 0: a relay is not used from a fixed port",
    );
  return faults;
}

/** As many ports as there can be sessions; `undefined` where the system chooses them. */
export function portCountOf({ portBegin, portEnd }: MediaConfig): number | undefined {
  return portBegin === 0 ? undefined : portEnd - portBegin + 1;
}
