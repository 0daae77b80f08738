/** Answers the scheduler's probe tokens with the pool's free slots, signed: once for each token in its life. */
import { createHash } from "node:crypto";
import {
  PROBE_LIFETIME_SECONDS,
  type ProbeAnswerClaims,
  type ProbeClaims,
  parseClaims,
  TOKEN_TYPES,
} from "#contracts/tokens/claims.ts";
import { Failure } from "#domain/failure.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import { CLOCK_SKEW_SECONDS, signToken, verifyToken } from "#platform/identity/tokens.ts";
import { checkSigner, type GrantPorts } from "../sessions/grants.ts";

/** 60 clients a second, each with one token here; an answer is about two kilobytes. */
export const ANSWERS_MAX = 2_048;
const ANSWER_MS = (PROBE_LIFETIME_SECONDS + CLOCK_SKEW_SECONDS) * 1000;

export interface ProbePorts extends GrantPorts {
  readonly freeSlots: () => ProbeAnswerClaims["freeSlots"];
}

interface Answered {
  readonly answer: string;
  readonly expiresAtMs: number;
}

export class ProbeAnswers {
  readonly #ports: ProbePorts;
  /** By the token's SHA-256. */
  readonly #answers: BoundedMap<string, Answered>;

  constructor(ports: ProbePorts) {
    this.#ports = ports;
    const lifetime = { ms: ANSWER_MS, clock: ports.clock };
    this.#answers = new BoundedMap({ entriesMax: ANSWERS_MAX, lifetime });
  }

  /** Throws `token-*`, `certificate-untrusted`, or `permission-denied` for a token of another node. */
  async answer(token: string): Promise<string> {
    const { clock } = this.#ports;
    const key = createHash("sha256").update(token).digest("base64");
    const known = this.#answers.get(key);
    if (known !== undefined && clock.nowMs() < known.expiresAtMs) return known.answer;
    const { jti, exp } = await this.#verify(token);
    const answer = await this.#sign(jti);
    this.#answers.set(key, { answer, expiresAtMs: (exp + CLOCK_SKEW_SECONDS) * 1000 });
    return answer;
  }

  async #verify(token: string): Promise<ProbeClaims> {
    const { identity, isRevoked, clock } = this.#ports;
    const { pool, name } = identity.peer;
    const trust = { kind: "chain", authorities: identity.trust.authorities, roles: ["scheduler"] } as const;
    const { claims: unchecked, signer } = await verifyToken(token, TOKEN_TYPES.probe, trust, clock.nowMs());
    const claims = parseClaims("probe", unchecked);
    checkSigner(signer, claims.pool, isRevoked);
    if (claims.node === name && claims.pool === pool) return claims;
    throw new Failure(
      "permission-denied",
      `the probe is for ${claims.node} of ${claims.pool}, this is ${name} of ${pool}`,
    );
  }

  #sign(probe: string): Promise<string> {
    const { identity, clock, freeSlots } = this.#ports;
    const { pool, name: node } = identity.peer;
    const iat = Math.floor(clock.nowMs() / 1000);
    const claims: ProbeAnswerClaims = {
      ...{ probe, node, pool, iat },
      freeSlots: freeSlots(),
      exp: iat + PROBE_LIFETIME_SECONDS,
    };
    return signToken(TOKEN_TYPES.probeAnswer, claims, identity.signer());
  }
}
