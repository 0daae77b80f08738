/** What an edge asks an agent, and what an agent says, as the edge takes it: lease answers and statuses, checked. Pure. */
import { create } from "@bufbuild/protobuf";
import { Value } from "typebox/value";
import { fromAgentStatus } from "#contracts/codec/node-status.ts";
import { fromUint64 } from "#contracts/codec/numbers.ts";
import type { AgentStatus as AgentStatusMessage } from "#contracts/generated/perigee/v1/node_pb.js";
import { type LeaseAnswer, type LeaseRequest, LeaseRequestSchema } from "#contracts/generated/perigee/v1/site_pb.js";
import { renderClassSchema } from "#contracts/operator-api/resources/schemas.ts";
import { SDP_LENGTH_MAX } from "#contracts/operator-api/sessions.ts";
import { FAILURE_CODES, Failure, type FailureCode } from "#domain/failure.ts";
import type { AgentStatus } from "#domain/fleet/node.ts";
import { isName } from "#domain/ids.ts";
import type { RenderClass } from "#domain/session/render-app.ts";

/** What a probe answer's claims admit. */
const CLASSES_MAX = 64;
const SLOTS_MAX = 100_000;
/** More sessions than any machine renders. */
const SESSIONS_MAX = 1024;
const REASONS_MAX = 16;
const URL_LENGTH_MAX = 2048;

export type Transport = "webrtc" | "websocket";

export interface LeaseWish {
  readonly session: string;
  readonly attempt: number;
  readonly transport: Transport;
}

export interface LeaseRequestSent extends LeaseWish {
  readonly grant: string;
  readonly thumbprint: string;
  /** Empty with `websocket`. */
  readonly offerSdp: string;
  readonly renderClass: string;
}

export interface Lease {
  readonly attempt: number;
  readonly fence: { readonly incarnation: string; readonly counter: number };
  readonly answerSdp: string | undefined;
  readonly websocketUrl: string | undefined;
  readonly renderClass: RenderClass;
}

export type LeaseOutcome =
  | { readonly kind: "granted"; readonly lease: Lease }
  /** The request itself is wrong: another agent would say the same. */
  | { readonly kind: "refused"; readonly failure: Failure }
  | { readonly kind: "passed-on"; readonly failure: Failure };

/** What is wrong with the client's request, whoever is asked. */
const FINAL_CODES: ReadonlySet<FailureCode> = new Set([
  "argument-invalid",
  "attempt-superseded",
  "media-invalid",
  "proof-invalid",
  "token-expired",
  "token-invalid",
  "token-revoked",
]);

export function leaseRequestMessage(request: bigint, sent: LeaseRequestSent): LeaseRequest {
  const { grant, thumbprint: keyThumbprint, transport, offerSdp } = sent;
  return create(LeaseRequestSchema, { request, grant, keyThumbprint, transport, offerSdp });
}

/** An answer that does not fit what was asked counts as the agent's fault: another one is asked. */
export function leaseOutcomeOf(answer: LeaseAnswer, wish: LeaseWish): LeaseOutcome {
  if (answer.granted) return grantedOf(answer, wish);
  const code = FAILURE_CODES.find((known) => known === answer.code);
  if (code === undefined) return malformed(`the unknown code ${JSON.stringify(answer.code.slice(0, 64))}`);
  const failure = new Failure(code, answer.message.slice(0, 1024));
  return { kind: FINAL_CODES.has(code) ? "refused" : "passed-on", failure };
}

function grantedOf(answer: LeaseAnswer, { session, attempt, transport }: LeaseWish): LeaseOutcome {
  const { fence, answerSdp, websocketUrl } = answer;
  if (answer.session !== session || answer.attempt !== attempt) return malformed("a lease of another session");
  if (fence === undefined || fence.incarnation === "") return malformed("no fence");
  if (transport === "webrtc" && (answerSdp === "" || answerSdp.length > SDP_LENGTH_MAX))
    return malformed("no answer SDP");
  const isUrl = URL.canParse(websocketUrl) && /^wss?:$/.test(new URL(websocketUrl).protocol);
  if (transport === "websocket" && (!isUrl || websocketUrl.length > URL_LENGTH_MAX))
    return malformed("no WebSocket URL");
  const { renderClass: name, eyeWidthPixels, eyeHeightPixels, frameRateHz } = answer;
  const renderClass: RenderClass = { name, eyeWidthPixels, eyeHeightPixels, frameRateHz };
  if (!Value.Check(renderClassSchema, renderClass)) return malformed("no class");
  const lease: Lease = {
    attempt,
    fence: { incarnation: fence.incarnation, counter: fromUint64(fence.counter, "fence counter") },
    answerSdp: transport === "webrtc" ? answerSdp : undefined,
    websocketUrl: transport === "websocket" ? websocketUrl : undefined,
    renderClass,
  };
  return { kind: "granted", lease };
}

function malformed(what: string): LeaseOutcome {
  return { kind: "passed-on", failure: new Failure("upstream-malformed", `the agent answered with ${what}`) };
}

/** Throws `argument-invalid` for a status of another agent or process, or one that goes beyond what is passed on. */
export function agentStatusOf(
  message: AgentStatusMessage,
  { name, incarnation }: { readonly name: string; readonly incarnation: string },
): AgentStatus {
  const status = fromAgentStatus(message);
  const { slots, sessions, reasons } = status;
  if (status.agent !== name || status.incarnation !== incarnation) throw invalid(name, "is of another process");
  const areSlots = slots.every(
    ({ renderClass, total, free }) => isName(renderClass) && total <= SLOTS_MAX && free <= total,
  );
  const isDistinct = new Set(slots.map(({ renderClass }) => renderClass)).size === slots.length;
  if (!areSlots || !isDistinct || slots.length > CLASSES_MAX) throw invalid(name, "has slots that cannot be");
  const measured = [
    ...slots.map(({ frameMsP95 }) => frameMsP95),
    ...sessions.flatMap(({ remotePathMsP50, remotePathMsP95, rttMs }) => [remotePathMsP50, remotePathMsP95, rttMs]),
  ];
  if (!measured.every((ms) => Number.isFinite(ms) && ms >= 0)) throw invalid(name, "has times that are none");
  if (sessions.length > SESSIONS_MAX) throw invalid(name, `has more than ${SESSIONS_MAX} sessions`);
  return { ...status, reasons: reasons.slice(0, REASONS_MAX) };
}

function invalid(name: string, what: string): Failure {
  return new Failure("argument-invalid", `the status of ${name} ${what}`);
}
