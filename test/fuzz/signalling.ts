/** Fuzzes what goes before there is media: bodies of the session API, leases and statuses on the wire, tokens, proofs, candidates. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClientKey } from "#client/session/key.ts";
import { toAgentStatus } from "#contracts/codec/node-status.ts";
import { AgentMessageSchema, EdgeMessageSchema } from "#contracts/generated/perigee/v1/site_pb.js";
import {
  connectSessionSchema,
  qualityReportSchema,
  SDP_LENGTH_MAX,
  TOKEN_LENGTH_MAX,
  ticketRequestSchema,
} from "#contracts/operator-api/sessions.ts";
import type { FailureCode } from "#domain/failure.ts";
import { agentStatusOf, leaseOutcomeOf } from "#edge-node/sessions/lease.ts";
import { parseBody } from "#edge-node/sessions/session-http.ts";
import { systemClock } from "#platform/clock.ts";
import { verifyProof } from "#platform/identity/dpop.ts";
import type { Random } from "#platform/random.ts";
import { leaseRequestOf } from "#render-agent/control/site-messages.ts";
import { verifyGrant } from "#render-agent/session/grants.ts";
import { advertised, withoutCandidates } from "#render-agent/transport/sdp.ts";
import { PoolWorld, THUMBPRINT } from "#test/render-agent/pool-world.ts";
import { isOnceIn, mutatedBytes, mutatedJson, mutatedText, pick } from "./mutations.ts";
import { check, checkRefusal, type FuzzTarget, isIn, type Outcome, readOrRefused } from "./target.ts";

const HOST = "a=candidate:1 1 UDP 2122317823 192.0.2.7 50000 typ host\r\n";
export const OFFER = [
  ...["v=0", "o=rtc 1 0 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0", "a=msid-semantic:WMS *"],
  ...["a=setup:actpass", "a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuv", "a=ice-options:ice2,trickle"],
  `a=fingerprint:sha-256 ${Array(32).fill("AB").join(":")}`,
  ...["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:0", "a=sendrecv"],
  ...["a=sctp-port:5000", "a=max-message-size:262144", HOST.trimEnd(), "a=end-of-candidates", ""],
].join("\r\n");
const PROVEN = { method: "POST", url: "http://edge.test/.perigee/v1/sessions" };
const MALFORMED = ["argument-invalid"] as const;
const NOT_GRANTED = [
  ...["token-invalid", "token-expired", "certificate-untrusted", "certificate-invalid", "token-revoked"],
  ...["placement-refused", "proof-invalid"],
] as const satisfies readonly FailureCode[];
const URLS = ["ws://127.0.0.1:7431/v1/media/x", "wss://edge.test/v1/media/x", "http://x", "ws:", ""];

/** Tokens and proofs that are mutated are real ones, of keys made for this. */
export async function signallingTargets(): Promise<readonly FuzzTarget[]> {
  const world = await PoolWorld.open();
  const grants = [await world.placement(), await world.ticket()];
  const key = await createClientKey(systemClock);
  const proof = await key.prove(PROVEN.method, PROVEN.url);
  const authorities = [world.authority.certificate];
  return [
    { name: "session-body", share: 40, run: tryBody },
    { name: "lease-request", share: 40, run: tryLeaseRequest },
    { name: "agent-message", share: 40, run: tryAgentMessage },
    { name: "candidates", share: 20, run: tryCandidates },
    { name: "grant", share: 4, run: (random) => tryGrant(random, pick(random, grants), authorities) },
    { name: "proof", share: 2, run: (random) => tryProof(random, proof) },
  ];
}

function tryBody(random: Random): Outcome {
  const token = "aaaa.bbbb.cccc".repeat(1 + random.integer(isOnceIn(random, 30) ? 2_000 : 3));
  const isConnect = isOnceIn(random, 2);
  const times = {
    remotePathMsP50: 11,
    remotePathMsP95: 20,
    networkMsP95: 5,
    renderEncodeMsP95: 6,
    decodeMsP95: 2,
    jitterMsP95: 1,
  };
  const body = isConnect
    ? {
        placement: token,
        proof: token,
        transport: "webrtc",
        offerSdp: OFFER.repeat(isOnceIn(random, 30) ? 200 : 1),
        tier: "strict",
      }
    : isOnceIn(random, 2)
      ? { proof: token, ...times, framesDecoded: 100, framesLost: 0 }
      : { proof: token, resume: token };
  const text = isOnceIn(random, 4)
    ? mutatedText(random, JSON.stringify(body))
    : JSON.stringify(mutatedJson(random, body));
  const given = jsonOf(text);
  if (given === undefined) return "refused";
  if (isConnect) {
    const read = readOrRefused(() => parseBody(connectSessionSchema, given), ...MALFORMED);
    check(
      (read?.offerSdp ?? "").length <= SDP_LENGTH_MAX && (read?.proof ?? "").length <= TOKEN_LENGTH_MAX,
      "a long body",
    );
    return read === undefined ? "refused" : "taken";
  }
  const ticket = readOrRefused(() => parseBody(ticketRequestSchema, given), ...MALFORMED);
  const report = readOrRefused(() => parseBody(qualityReportSchema, given), ...MALFORMED);
  check(report === undefined || isIn(report.remotePathMsP95, 0, 60_000), "a time that is none");
  return ticket === undefined && report === undefined ? "refused" : "taken";
}

/** What is no JSON is refused where the body is read. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What protobuf's own reader refuses ends a stream by its status, and reaches nobody. */
function decoded<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function textOf(random: Random, text: string): string {
  return isOnceIn(random, 6) ? mutatedText(random, text) : text;
}

function tryLeaseRequest(random: Random): Outcome {
  const value = {
    request: BigInt(random.integer(2 ** 32)),
    grant: textOf(random, "aaaa.bbbb.cccc"),
    keyThumbprint: textOf(random, THUMBPRINT),
    transport: pick(random, ["webrtc", "websocket", "", "__proto__"]),
    offerSdp: textOf(random, OFFER.repeat(isOnceIn(random, 50) ? 200 : 1)),
  };
  const valid = toBinary(EdgeMessageSchema, create(EdgeMessageSchema, { message: { case: "leaseRequest", value } }));
  const bytes = isOnceIn(random, 3) ? valid : mutatedBytes(random, valid);
  const message = decoded(() => fromBinary(EdgeMessageSchema, bytes))?.message;
  if (message?.case !== "leaseRequest") return "refused";
  const request = readOrRefused(() => leaseRequestOf(message.value, "near-1"), ...MALFORMED);
  if (request === undefined) return "refused";
  check(
    isIn(request.token.length, 1, TOKEN_LENGTH_MAX) && request.thumbprint.length === THUMBPRINT.length,
    "a long grant",
  );
  check(request.media.kind === "websocket" || isIn(request.media.offerSdp.length, 1, SDP_LENGTH_MAX), "a long offer");
  return "taken";
}

function tryAgentMessage(random: Random): Outcome {
  const message = isOnceIn(random, 2) ? answerOf(random) : statusOf(random);
  const valid = toBinary(AgentMessageSchema, message);
  const bytes = isOnceIn(random, 3) ? valid : mutatedBytes(random, valid);
  const read = decoded(() => fromBinary(AgentMessageSchema, bytes))?.message;
  if (read?.case === "status") return checkStatus(read.value);
  if (read?.case !== "leaseAnswer") return "refused";
  const wish = { session: "session-1", attempt: 1, transport: pick(random, ["webrtc", "websocket"] as const) };
  const outcome = readOrRefused(() => leaseOutcomeOf(read.value, wish), ...MALFORMED);
  if (outcome?.kind !== "granted") return "refused";
  const { fence, answerSdp = "", websocketUrl, renderClass } = outcome.lease;
  check(Number.isSafeInteger(fence.counter) && answerSdp.length <= SDP_LENGTH_MAX, "a fence that is none");
  check(websocketUrl === undefined || URL.canParse(websocketUrl), "an address that is none");
  const { eyeWidthPixels, eyeHeightPixels, frameRateHz } = renderClass;
  check(
    isIn(eyeWidthPixels, 1, 4_096) && isIn(eyeHeightPixels, 1, 4_096) && isIn(frameRateHz, 1, 144),
    `a class of ${eyeWidthPixels}×${eyeHeightPixels} at ${frameRateHz} Hz`,
  );
  return "taken";
}

function answerOf(random: Random) {
  const value = {
    ...{ request: 1n, granted: true, session: "session-1", attempt: 1, answerSdp: textOf(random, OFFER) },
    fence: { incarnation: textOf(random, "00000001-ab"), counter: isOnceIn(random, 20) ? 2n ** 64n - 1n : 3n },
    websocketUrl: textOf(random, pick(random, URLS)),
    ...{ renderClass: textOf(random, "tiny"), eyeWidthPixels: 480, eyeHeightPixels: 540, frameRateHz: 60 },
  };
  return create(AgentMessageSchema, { message: { case: "leaseAnswer", value } });
}

function statusOf(random: Random) {
  const measured = () => (isOnceIn(random, 20) ? pick(random, [Number.NaN, Number.POSITIVE_INFINITY, -1, 1e300]) : 9.5);
  const session = {
    session: textOf(random, "session-1"),
    attempt: 1,
    app: textOf(random, "hall"),
    renderClass: "tiny",
    startedAtMs: 1,
  };
  const status = {
    ...{
      agent: "gpu-1",
      incarnation: "00000001-ab",
      ready: true,
      reasons: isOnceIn(random, 20) ? Array(40).fill("no-edge") : [],
    },
    slots: [{ renderClass: textOf(random, "tiny"), total: 2, free: random.integer(4), frameMsP95: measured() }],
    sessions: [{ ...session, remotePathMsP50: measured(), remotePathMsP95: measured(), rttMs: measured() }],
  };
  return create(AgentMessageSchema, { message: { case: "status", value: toAgentStatus(status) } });
}

function checkStatus(message: Parameters<typeof agentStatusOf>[0]): Outcome {
  const status = readOrRefused(
    () => agentStatusOf(message, { name: "gpu-1", incarnation: "00000001-ab" }),
    ...MALFORMED,
  );
  if (status === undefined) return "refused";
  const measured = status.sessions.flatMap(({ remotePathMsP50, remotePathMsP95, rttMs }) => [
    remotePathMsP50,
    remotePathMsP95,
    rttMs,
  ]);
  measured.push(...status.slots.map(({ frameMsP95 }) => frameMsP95));
  check(
    measured.every((value) => Number.isFinite(value) && value >= 0),
    `measured: ${measured.join(", ")}`,
  );
  check(status.reasons.length <= 16 && status.slots.every(({ free, total }) => free <= total), "slots that cannot be");
  return "taken";
}

/** What is written into an answer and taken out of an offer is lines of candidates, and nothing else. */
function tryCandidates(random: Random): Outcome {
  const text = mutatedText(
    random,
    OFFER.replace(HOST, HOST.repeat(1 + random.integer(isOnceIn(random, 20) ? 400 : 4))),
  );
  const without = withoutCandidates(text);
  check(without.length <= text.length && !/^a=candidate:/m.test(without), "a candidate is left");
  const told = advertised(text, { address: "198.51.100.9", portOffset: random.integer(65_536) });
  const lines = (sdp: string) => sdp.split("\n").length;
  check(lines(told) === lines(text), "another count of lines");
  return without === text ? "refused" : "taken";
}

/** A compact JWS whose header and claims are real ones changed; nobody signs what is made. */
function mutatedJws(random: Random, token: string): string {
  if (isOnceIn(random, 3)) return mutatedText(random, token);
  const parts = token.split(".");
  const at = random.integer(2);
  const part = Buffer.from(parts[at] ?? "", "base64url").toString();
  const changed = isOnceIn(random, 6)
    ? mutatedText(random, part)
    : JSON.stringify(mutatedJson(random, JSON.parse(part)));
  return parts.with(at, Buffer.from(changed).toString("base64url")).join(".");
}

type Authorities = ReturnType<Parameters<typeof verifyGrant>[0]["trust"]>["authorities"];

async function tryGrant(random: Random, valid: string, authorities: Authorities): Promise<Outcome> {
  const token = mutatedJws(random, valid);
  const ports = {
    pool: "near",
    trust: () => ({ authorities }),
    isRevoked: () => false,
    nowMs: () => systemClock.nowMs(),
  };
  try {
    await verifyGrant(ports, { token, thumbprint: THUMBPRINT });
  } catch (error) {
    checkRefusal(error, NOT_GRANTED);
    return "refused";
  }
  check(sameJws(token, valid), "what nobody signed is taken");
  return "taken";
}

async function tryProof(random: Random, valid: string): Promise<Outcome> {
  const proof = mutatedJws(random, valid);
  try {
    await verifyProof(proof, { method: PROVEN.method, urls: [PROVEN.url], nowMs: systemClock.nowMs() });
  } catch (error) {
    checkRefusal(error, ["proof-invalid"]);
    return "refused";
  }
  check(sameJws(proof, valid), "what nobody signed is taken");
  return "taken";
}

/** Base64url has more than one spelling of the last bits. */
function sameJws(a: string, b: string): boolean {
  const octets = (token: string) => token.split(".").map((part) => Buffer.from(part, "base64url").toString("hex"));
  return octets(a).join(".") === octets(b).join(".");
}
