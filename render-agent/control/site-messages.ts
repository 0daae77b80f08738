/** What agent and edge say to each other, wire ↔ agent, checked. Pure. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  AgentMessageSchema,
  LeaseRequest as LeaseRequestMessage,
} from "#contracts/generated/perigee/v1/site_pb.js";
import { SDP_LENGTH_MAX, TOKEN_LENGTH_MAX } from "#contracts/operator-api/sessions.ts";
import { Failure } from "#domain/failure.ts";
import type { GrantedLease, LeaseRequest } from "../session/session-host.ts";

export type AgentMessageInit = MessageInitShape<typeof AgentMessageSchema>;

const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;

/** Throws `argument-invalid`. */
export function leaseRequestOf(message: LeaseRequestMessage, edge: string): LeaseRequest {
  const { grant: token, keyThumbprint: thumbprint, transport, offerSdp } = message;
  if (token.length === 0 || token.length > TOKEN_LENGTH_MAX)
    throw invalid(`grant must have 1..${TOKEN_LENGTH_MAX} characters`);
  if (!THUMBPRINT.test(thumbprint)) throw invalid("key_thumbprint must be an RFC 7638 thumbprint");
  switch (transport) {
    case "websocket":
      return { edge, token, thumbprint, media: { kind: "websocket" } };
    case "webrtc":
      if (offerSdp.length === 0 || offerSdp.length > SDP_LENGTH_MAX) {
        throw invalid(`offer_sdp must have 1..${SDP_LENGTH_MAX} characters with webrtc`);
      }
      return { edge, token, thumbprint, media: { kind: "webrtc", offerSdp } };
    default:
      throw invalid(`transport must be webrtc or websocket, got ${JSON.stringify(transport.slice(0, 32))}`);
  }
}

export function grantedAnswer(request: bigint, lease: GrantedLease): AgentMessageInit {
  const { session, attempt, fence, renderClass, answerSdp, websocketUrl } = lease;
  const { name, eyeWidthPixels, eyeHeightPixels, frameRateHz } = renderClass;
  const value = {
    request,
    granted: true,
    session,
    attempt,
    fence: { incarnation: fence.incarnation, counter: BigInt(fence.counter) },
    answerSdp,
    websocketUrl,
    renderClass: name,
    eyeWidthPixels,
    eyeHeightPixels,
    frameRateHz,
  };
  return { message: { case: "leaseAnswer", value } };
}

export function refusedAnswer(request: bigint, { code, message }: Failure): AgentMessageInit {
  return { message: { case: "leaseAnswer", value: { request, granted: false, code, message } } };
}

function invalid(what: string): Failure {
  return new Failure("argument-invalid", `lease request: ${what}`);
}
