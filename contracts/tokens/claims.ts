/** The claims of every token that a client or an operator carries (compact JWS, RFC 7515), one schema each. */
import Type, { type Static, type TSchema } from "typebox";
import { Value } from "typebox/value";
import { Failure } from "#domain/failure.ts";
import { NAME_PATTERN } from "#domain/ids.ts";
import { TIERS } from "#domain/policy/placement-policy.ts";
import { faultsOf } from "#domain/schema-faults.ts";

const closed = { additionalProperties: false };
const name = Type.String({ pattern: NAME_PATTERN });
/** NumericDate of RFC 7519 section 2: seconds since the epoch. */
const numericDate = Type.Integer({ minimum: 0, maximum: 253_402_300_799 });
const id = Type.String({ pattern: "^[A-Za-z0-9_-]{8,64}$" });
const thumbprint = Type.Object({ jkt: Type.String({ pattern: "^[A-Za-z0-9_-]{43}$" }) }, closed);
const milliseconds = Type.Number({ minimum: 0, maximum: 60_000 });
const tier = Type.Enum([...TIERS]);

/** Web origins an app token is good for, each with `*` for one label or the port. */
export const WEB_ORIGINS_MAX = 32;
export const SCOPES_MAX = 32;
/** A placement is for connecting now: a lost answer is asked for again. */
export const PLACEMENT_LIFETIME_SECONDS = 30;
/** Long enough to survive an agent's death and a retry, short enough that a stolen one is stale. */
export const RESUME_LIFETIME_SECONDS = 120;
/** Probing takes 150 ms; the rest is for slow links. */
export const PROBE_LIFETIME_SECONDS = 30;

/** The `typ` header of each token, so that none is taken for another. */
export const TOKEN_TYPES = {
  app: "perigee-app+jwt",
  operator: "perigee-operator+jwt",
  probe: "perigee-probe+jwt",
  probeAnswer: "perigee-probe-answer+jwt",
  placement: "perigee-placement+jwt",
  resume: "perigee-resume+jwt",
} as const;

export type TokenKind = keyof typeof TOKEN_TYPES;

/** The parts that add up to the budget: remote-path latency p95, milliseconds. */
export const budgetSchema = Type.Object(
  {
    budgetMs: milliseconds,
    networkMsP95: milliseconds,
    renderEncodeMsP95: milliseconds,
    decodeJitterMs: milliseconds,
    serialisationMs: milliseconds,
    /** What is left for the network: budget less the other parts. */
    rttLimitMs: Type.Number({ minimum: -60_000, maximum: 60_000 }),
  },
  closed,
);

const scope = Type.String({ pattern: "^(admin|read|apply|join|publish:([a-z0-9-]{1,63}|\\*))$" });
const jti = id;
const exp = numericDate;

const sessionClaims = {
  session: id,
  attempt: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  app: name,
  tier,
  pool: name,
  renderClass: name,
  cnf: thumbprint,
  exp,
};

export const CLAIM_SCHEMAS = {
  app: Type.Object(
    {
      sub: name,
      origins: Type.Array(Type.String({ maxLength: 255 }), { minItems: 1, maxItems: WEB_ORIGINS_MAX }),
      maxSessions: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
      /** Whose sessions they are, where an app has several customers; policies match it. */
      tenant: Type.Optional(name),
      jti,
      exp,
    },
    closed,
  ),
  operator: Type.Object(
    {
      sub: Type.String({ minLength: 1, maxLength: 128 }),
      scopes: Type.Array(scope, { minItems: 1, maxItems: SCOPES_MAX }),
      jti,
      exp,
    },
    closed,
  ),
  probe: Type.Object({ jti, session: Type.Optional(id), pool: name, node: name, exp }, closed),
  probeAnswer: Type.Object(
    {
      probe: jti,
      node: name,
      pool: name,
      freeSlots: Type.Record(name, Type.Integer({ minimum: 0, maximum: 100_000 }), { maxProperties: 64 }),
      iat: numericDate,
      exp,
    },
    closed,
  ),
  placement: Type.Object({ ...sessionClaims, tenant: Type.Optional(name), budget: budgetSchema }, closed),
  resume: Type.Object(sessionClaims, closed),
} as const satisfies Record<TokenKind, TSchema>;

export type Claims<K extends TokenKind> = Static<(typeof CLAIM_SCHEMAS)[K]>;
export type AppClaims = Claims<"app">;
export type OperatorClaims = Claims<"operator">;
export type ProbeClaims = Claims<"probe">;
export type ProbeAnswerClaims = Claims<"probeAnswer">;
export type PlacementClaims = Claims<"placement">;
export type ResumeClaims = Claims<"resume">;
export type BudgetClaim = Static<typeof budgetSchema>;

/** Narrows verified claims; throws `token-invalid` with every fault. Signature and expiry are the verifier's. */
export function parseClaims<K extends TokenKind>(kind: K, claims: unknown): Claims<K> {
  const schema: TSchema = CLAIM_SCHEMAS[kind];
  if (isClaims(kind, claims)) return claims;
  const faults = faultsOf(Value.Errors(schema, claims), claims);
  throw new Failure("token-invalid", `${TOKEN_TYPES[kind]}: ${faults.map((fault) => fault.message).join("; ")}`);
}

function isClaims<K extends TokenKind>(kind: K, claims: unknown): claims is Claims<K> {
  const schema: TSchema = CLAIM_SCHEMAS[kind];
  return Value.Check(schema, claims);
}
