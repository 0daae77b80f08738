/** Relays joining and renewing render-agents to the origin's enrolment: they reach nothing outside their pool's network. */

import type { Resources } from "#contracts/codec/set-state.ts";
import { Enrolment, type EnrolResponse } from "#contracts/generated/perigee/v1/enrolment_pb.js";
import { SiteEnrolment } from "#contracts/generated/perigee/v1/site_pb.js";
import { Failure } from "#domain/failure.ts";
import type { Address } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import { type ClientTls, createGrpcClient, type GrpcClient } from "#platform/grpc/client.ts";
import { type Call, type ServiceEntry, serviceOf } from "#platform/grpc/server.ts";
import { parseCertificate } from "#platform/identity/certificates.ts";
import { parseIdentity } from "#platform/identity/peer.ts";
import { nodeSpecOf } from "./membership.ts";

/** Agents join and renew seldom; whoever knocks at this listener holds no more than this. */
export const RELAYED_CALLS_MAX = 16;
const RELAY_MS_MAX = 10_000;

export interface RelayParts {
  readonly pool: string;
  readonly resources: () => Resources;
  /** The one that this edge is linked by, or was last. */
  readonly origin: () => Address;
  readonly tls: () => ClientTls;
  readonly clock: Clock;
  readonly onRelayed: (outcome: "issued" | "refused") => void;
}

type OriginEnrolment = GrpcClient<typeof Enrolment>;

export function siteEnrolmentService(parts: RelayParts): ServiceEntry {
  let calls = 0;
  const relay = async (
    { signal }: Call,
    ask: (origin: OriginEnrolment, limits: { signal: AbortSignal }) => Promise<EnrolResponse>,
  ): Promise<EnrolResponse> => {
    if (calls >= RELAYED_CALLS_MAX) {
      throw new Failure("overloaded", `${RELAYED_CALLS_MAX} agents are joining or renewing, which is the limit`, {
        retryable: true,
      });
    }
    calls += 1;
    let outcome: "issued" | "refused" = "refused";
    try {
      const { authoritiesPem, serverName } = parts.tls();
      const address = parts.origin();
      using origin = createGrpcClient(Enrolment, { address, tls: { authoritiesPem, serverName } });
      const issued = await ask(origin, { signal: parts.clock.deadline(RELAY_MS_MAX, signal) });
      checkIsAgentHere(parts.pool, issued);
      outcome = "issued";
      return issued;
    } finally {
      calls -= 1;
      parts.onRelayed(outcome);
    }
  };
  return serviceOf(SiteEnrolment, {
    async enrol({ joinToken, nodeName, certificateRequest }, call) {
      const role = nodeSpecOf(parts.resources(), nodeName)?.role ?? "agent";
      checkIsAgentHere(parts.pool, { role, pool: parts.pool });
      return relay(call, (origin, limits) => origin.enrol({ joinToken, nodeName, certificateRequest }, limits));
    },
    async renew({ certificateRequest, oldChain, proof }, call) {
      checkIsAgentHere(parts.pool, identityOf(oldChain[0]));
      return relay(call, (origin, limits) => origin.renew({ certificateRequest, oldChain, proof }, limits));
    },
  });
}

/** Not verified here: the origin does. */
function identityOf(leaf: Uint8Array | undefined) {
  const identity = leaf === undefined ? undefined : parseIdentity(parseCertificate(leaf).subjectAltName);
  return identity ?? { role: "nobody", pool: "-" };
}

/** Through this door come agents of this pool; others have their own way to the origin. */
function checkIsAgentHere(here: string, { role, pool }: { readonly role: string; readonly pool: string }): void {
  if (role === "agent" && pool === here) return;
  throw new Failure("permission-denied", `agents of pool ${here} join and renew here, not ${role} of ${pool}`);
}
