/** A client's proof that it holds its key: DPoP (RFC 9449), made by browsers, verified by scheduler and edges. */
import { calculateJwkThumbprint, EmbeddedJWK, type JWK, jwtVerify } from "jose";
import { Failure } from "#domain/failure.ts";

/** A proof is for one request now; a client's clock may be off by this much. */
export const PROOF_AGE_SECONDS_MAX = 300;

export interface ProvenKey {
  /** RFC 7638 thumbprint, base64url. */
  readonly thumbprint: string;
  /** Unique for each proof: who accepts one remembers it while it lives. */
  readonly proofId: string;
}

export interface ProofExpectation {
  readonly method: string;
  /** The request's URL without query and fragment, as the client saw it; any of these. */
  readonly urls: readonly string[];
  readonly nowMs: number;
}

/** Throws `proof-invalid` saying what did not fit. */
export async function verifyProof(proof: string, expected: ProofExpectation): Promise<ProvenKey> {
  const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
    algorithms: ["ES256"],
    typ: "dpop+jwt",
    currentDate: new Date(expected.nowMs),
  }).catch((cause: unknown) => {
    throw new Failure(
      "proof-invalid",
      "the proof must be a DPoP JWT (RFC 9449) signed with ES256 by the key in its header",
      { cause },
    );
  });
  const { htm, htu, jti, iat } = payload;
  if (htm !== expected.method) throw mismatch("htm", expected.method, htm);
  if (typeof htu !== "string" || !expected.urls.includes(htu)) throw mismatch("htu", expected.urls.join(" or "), htu);
  if (typeof jti !== "string" || jti.length < 8 || jti.length > 64) throw mismatch("jti", "8 to 64 characters", jti);
  if (typeof iat !== "number" || Math.abs(iat - expected.nowMs / 1000) > PROOF_AGE_SECONDS_MAX) {
    throw mismatch("iat", `within ${PROOF_AGE_SECONDS_MAX} s of now`, iat);
  }
  return { thumbprint: await thumbprintOf(protectedHeader.jwk), proofId: jti };
}

/** Of a public P-256 key; throws `proof-invalid` for anything else. */
export async function thumbprintOf(key: JWK | undefined): Promise<string> {
  if (key?.kty !== "EC" || key.crv !== "P-256" || "d" in key)
    throw new Failure("proof-invalid", "the key must be a public P-256 key");
  return calculateJwkThumbprint(key, "sha256");
}

function mismatch(claim: string, expected: string, got: unknown): Failure {
  return new Failure(
    "proof-invalid",
    `the proof's ${claim} must be ${expected}, got ${JSON.stringify(got) ?? "nothing"}`,
  );
}
