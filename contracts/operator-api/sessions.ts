/** The scheduler's client API and the edges' session API: bodies of requests and answers. */
import Type, { type Static } from "typebox";
import { NAME_PATTERN } from "#domain/ids.ts";
import { TIERS } from "#domain/policy/placement-policy.ts";
import { budgetSchema } from "../tokens/claims.ts";

/** A probe is three samples; more are ignored by nobody, so refused. */
export const PROBE_SAMPLES_MAX = 10;
export const PROBE_RESULTS_MAX = 6;
/** A compact JWS with a certificate chain. */
export const TOKEN_LENGTH_MAX = 16_384;
export const SDP_LENGTH_MAX = 65_536;

const closed = { additionalProperties: false };
const name = Type.String({ pattern: NAME_PATTERN });
const token = Type.String({ minLength: 1, maxLength: TOKEN_LENGTH_MAX });
const milliseconds = Type.Number({ minimum: 0, maximum: 60_000 });
const tier = Type.Enum([...TIERS]);

export const probeTargetSchema = Type.Object(
  { node: name, pool: name, url: Type.String(), token: Type.String() },
  closed,
);

export const probeResultSchema = Type.Object(
  { answer: token, rttMs: Type.Array(milliseconds, { minItems: 1, maxItems: PROBE_SAMPLES_MAX }) },
  closed,
);

/** `GET /v1/steer?site=` */
export const steerAnswerSchema = Type.Object(
  {
    site: name,
    decision: Type.String(),
    group: Type.String(),
    edges: Type.Array(
      Type.Object(
        {
          node: name,
          pool: name,
          url: Type.String(),
          rttMs: milliseconds,
          /** `table`: an edge that is cut off answers by the order it was given; the RTT is 0, not known. */
          source: Type.Union([
            Type.Literal("measured"),
            Type.Literal("history"),
            Type.Literal("geography"),
            Type.Literal("table"),
          ]),
        },
        closed,
      ),
    ),
    probes: Type.Array(probeTargetSchema),
  },
  closed,
);

/** `POST /v1/measurements` */
export const measurementsSchema = Type.Object(
  { results: Type.Array(probeResultSchema, { minItems: 1, maxItems: PROBE_RESULTS_MAX }) },
  closed,
);

export const measurementsAnswerSchema = Type.Object(
  {
    /** Answers that were believed. */
    accepted: Type.Integer({ minimum: 0 }),
    /** Why others were not. */
    notes: Type.Array(Type.String()),
  },
  closed,
);

/** A public P-256 key (RFC 7518 section 6.2.1). */
export const clientKeySchema = Type.Object(
  {
    kty: Type.Literal("EC"),
    crv: Type.Literal("P-256"),
    x: Type.String({ pattern: "^[A-Za-z0-9_-]{43}$" }),
    y: Type.String({ pattern: "^[A-Za-z0-9_-]{43}$" }),
  },
  closed,
);

/** `POST /v1/sessions` */
export const createSessionSchema = Type.Object(
  {
    app: name,
    tier,
    key: clientKeySchema,
    device: Type.Object(
      {
        name: Type.String({ minLength: 1, maxLength: 128 }),
        decodeMs: Type.Optional(milliseconds),
        jitterMs: Type.Optional(milliseconds),
      },
      closed,
    ),
  },
  closed,
);
export const sessionCandidatesSchema = Type.Object(
  { session: Type.String(), candidates: Type.Array(probeTargetSchema), expiresAtMs: Type.Integer() },
  closed,
);

/** `POST /v1/sessions/{session}/probes` */
export const sessionProbesSchema = Type.Object(
  { proof: token, results: Type.Array(probeResultSchema, { minItems: 1, maxItems: PROBE_RESULTS_MAX }) },
  closed,
);
/**
 * `POST /v1/sessions/{session}/renew`; 204 means: keep what you have. A session that runs and is answered `queued` keeps
 * it too: it is to move, many others are as well, and it asks again after `retryAfterSeconds`.
 */
export const renewSessionSchema = Type.Object(
  {
    proof: token,
    placement: token,
    reason: Type.Union([
      Type.Literal("promotion"),
      Type.Literal("pool-lost"),
      Type.Literal("refused"),
      Type.Literal("draining"),
    ]),
    results: Type.Optional(Type.Array(probeResultSchema, { maxItems: PROBE_RESULTS_MAX })),
  },
  closed,
);
export const endSessionSchema = Type.Object({ proof: token }, closed);

/** As RTCPeerConnection takes it; credentials are the session's own and run out. */
export const iceServerSchema = Type.Object(
  {
    urls: Type.Array(Type.String()),
    username: Type.Optional(Type.String()),
    credential: Type.Optional(Type.String()),
  },
  closed,
);

const placed = {
  decision: Type.String(),
  placement: Type.String(),
  pool: name,
  edges: Type.Array(Type.String()),
  budget: budgetSchema,
  /** Not there where none are configured. */
  iceServers: Type.Optional(Type.Array(iceServerSchema)),
};
export const placementAnswerSchema = Type.Union([
  Type.Object({ state: Type.Literal("placed"), ...placed }, closed),
  Type.Object({ state: Type.Literal("degraded"), ...placed }, closed),
  Type.Object(
    {
      state: Type.Literal("queued"),
      decision: Type.String(),
      retryAfterSeconds: Type.Number(),
      bestAchievableMs: Type.Number(),
    },
    closed,
  ),
]);

/** `POST /.perigee/v1/sessions` at an edge; exactly one of placement, resume and appToken. */
export const connectSessionSchema = Type.Object(
  {
    placement: Type.Optional(token),
    resume: Type.Optional(token),
    appToken: Type.Optional(token),
    /** With an app token, which has none; `standard` unless said. */
    tier: Type.Optional(tier),
    proof: token,
    transport: Type.Union([Type.Literal("webrtc"), Type.Literal("websocket")]),
    offerSdp: Type.Optional(Type.String({ maxLength: SDP_LENGTH_MAX })),
  },
  closed,
);
export const connectedSessionSchema = Type.Object(
  {
    session: Type.String(),
    attempt: Type.Integer(),
    agent: name,
    fence: Type.Object({ incarnation: Type.String(), counter: Type.Integer() }, closed),
    answerSdp: Type.Optional(Type.String()),
    websocketUrl: Type.Optional(Type.String()),
    renderClass: Type.Object(
      {
        name,
        eyeWidthPixels: Type.Integer(),
        eyeHeightPixels: Type.Integer(),
        frameRateHz: Type.Integer(),
      },
      closed,
    ),
    resume: Type.String(),
    /** Where the edge placed the session itself, by an app token: what a scheduler is shown at the first renewal. */
    placement: Type.Optional(Type.String()),
    reportEverySeconds: Type.Number(),
  },
  closed,
);
/** `resume`, the last ticket, tells an edge that has been started anew, or another of the pool, whose session it is. */
export const ticketRequestSchema = Type.Object({ proof: token, resume: Type.Optional(token) }, closed);
export const ticketAnswerSchema = Type.Object({ resume: Type.String() }, closed);

/** `POST /.perigee/v1/sessions/{session}/watch`: answered once no agent of the pool holds the session, or after some seconds. */
export const watchSessionSchema = Type.Object({ proof: token }, closed);
export const sessionWatchSchema = Type.Union([
  Type.Object({ state: Type.Literal("held") }, closed),
  /** By its agent's word: frames have ended. */
  Type.Object({ state: Type.Literal("ended"), reason: Type.String() }, closed),
  /** Its agent is not connected: killed, or cut off from this edge alone. */
  Type.Object({ state: Type.Literal("lost"), reason: Type.String() }, closed),
]);

/** `POST /.perigee/v1/sessions/{session}/reports` */
export const qualityReportSchema = Type.Object(
  {
    proof: token,
    remotePathMsP50: milliseconds,
    remotePathMsP95: milliseconds,
    networkMsP95: milliseconds,
    renderEncodeMsP95: milliseconds,
    decodeMsP95: milliseconds,
    jitterMsP95: milliseconds,
    framesDecoded: Type.Integer({ minimum: 0 }),
    framesLost: Type.Integer({ minimum: 0 }),
  },
  closed,
);

export type ProbeTarget = Static<typeof probeTargetSchema>;
export type ProbeResult = Static<typeof probeResultSchema>;
export type SteerAnswer = Static<typeof steerAnswerSchema>;
export type CreateSession = Static<typeof createSessionSchema>;
export type SessionCandidates = Static<typeof sessionCandidatesSchema>;
export type PlacementAnswer = Static<typeof placementAnswerSchema>;
export type ConnectSession = Static<typeof connectSessionSchema>;
export type ConnectedSession = Static<typeof connectedSessionSchema>;
export type SessionWatch = Static<typeof sessionWatchSchema>;
export type QualityReport = Static<typeof qualityReportSchema>;
