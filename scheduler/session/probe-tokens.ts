/** Probe tokens for clients, and what the edges' signed answers to them prove. */
import type { X509Certificate } from "node:crypto";
import type { ProbeResult, ProbeTarget } from "#contracts/operator-api/sessions.ts";
import { PROBE_LIFETIME_SECONDS, type ProbeAnswerClaims, parseClaims, TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import { CLOCK_SKEW_SECONDS, signToken, type TokenSigner, verifyToken } from "#platform/identity/tokens.ts";
import type { Random } from "#platform/random.ts";

/** Six for each session that is being made, with room; the oldest is forgotten and its answer then refused. */
export const PROBES_REMEMBERED_MAX = 100_000;
/** An answer counts for as long as a probe token may be used, and as long again. */
const PROBE_MEMORY_MS = 2 * PROBE_LIFETIME_SECONDS * 1000;
/** No tier admits more by far; beyond it one lost packet would spoil the average of a group. */
const RTT_MS_MAX = 5_000;
const PROBE_ID_BYTES = 16;

/** What NodeIdentity offers of it. */
export interface SigningIdentity {
  signer(): TokenSigner;
  readonly trust: { readonly authorities: readonly X509Certificate[] };
}

export interface IssuedProbe {
  readonly node: string;
  readonly pool: string;
  /** Undefined for probes of steering. */
  readonly session: string | undefined;
}

export interface Measurement {
  readonly node: string;
  readonly pool: string;
  readonly samplesMs: readonly number[];
  /** Nearest rank: of less than twenty samples the greatest. */
  readonly rttMsP95: number;
  readonly freeSlots: Readonly<Record<string, number>>;
  readonly ageMs: number;
  /** Undefined where another replica issued the probe, or this one before it was started anew. */
  readonly issued: IssuedProbe | undefined;
}

export interface ProbeTokensOptions {
  readonly identity: SigningIdentity;
  readonly clock: Clock;
  readonly random: Random;
}

export class ProbeTokens {
  readonly #options: ProbeTokensOptions;
  readonly #issued: BoundedMap<string, IssuedProbe>;

  constructor(options: ProbeTokensOptions) {
    this.#options = options;
    const { clock } = options;
    this.#issued = new BoundedMap({ entriesMax: PROBES_REMEMBERED_MAX, lifetime: { ms: PROBE_MEMORY_MS, clock } });
  }

  async issue(probe: IssuedProbe, url: string): Promise<ProbeTarget> {
    const { identity, clock, random } = this.#options;
    const jti = Buffer.from(random.bytes(PROBE_ID_BYTES)).toString("base64url");
    const exp = Math.floor(clock.nowMs() / 1000) + PROBE_LIFETIME_SECONDS;
    const { node, pool, session } = probe;
    const claims = { jti, pool, node, exp, ...(session === undefined ? {} : { session }) };
    const token = await signToken(TOKEN_TYPES.probe, claims, identity.signer());
    this.#issued.set(jti, probe);
    return { node, pool, url, token };
  }

  /** Throws `token-invalid`, `token-expired`, `certificate-untrusted` or `argument-invalid`. What round trip it was is the client's word. */
  async verify({ answer, rttMs }: ProbeResult): Promise<Measurement> {
    const claims = await this.#verifyAnswer(answer);
    const { node, pool, probe, freeSlots } = claims;
    const issued = this.#issued.peek(probe);
    if (issued !== undefined && (issued.node !== node || issued.pool !== pool)) {
      throw new Failure("token-invalid", `the probe was for ${issued.node}, the answer is of ${node}: probe again`);
    }
    if (!rttMs.every((ms) => Number.isFinite(ms) && ms >= 0)) {
      throw new Failure("argument-invalid", `rttMs of ${node} must be numbers of milliseconds from 0`);
    }
    const samplesMs = rttMs.map((ms) => Math.min(ms, RTT_MS_MAX));
    const sorted = samplesMs.toSorted((a, b) => a - b);
    const rttMsP95 = sorted[Math.ceil(sorted.length * 0.95) - 1];
    if (rttMsP95 === undefined) throw new Failure("argument-invalid", `rttMs of ${node} must have a sample`);
    const ageMs = Math.max(0, this.#options.clock.nowMs() - claims.iat * 1000);
    return { node, pool, samplesMs, rttMsP95, freeSlots, ageMs, issued };
  }

  async #verifyAnswer(answer: string): Promise<ProbeAnswerClaims> {
    const { identity, clock } = this.#options;
    const { authorities } = identity.trust;
    const nowMs = clock.nowMs();
    const trust = { kind: "chain", authorities, roles: ["edge"] } as const;
    const { claims: unchecked, signer } = await verifyToken(answer, TOKEN_TYPES.probeAnswer, trust, nowMs);
    const claims = parseClaims("probeAnswer", unchecked);
    if (signer?.name !== claims.node || signer.pool !== claims.pool) {
      throw new Failure("token-invalid", `the answer names ${claims.node}, but ${signer?.name ?? "nobody"} signed it`);
    }
    if (nowMs / 1000 > claims.iat + PROBE_LIFETIME_SECONDS + CLOCK_SKEW_SECONDS) {
      throw new Failure("token-expired", `the probe answer of ${claims.node} is too old: probe again`);
    }
    return claims;
  }
}
