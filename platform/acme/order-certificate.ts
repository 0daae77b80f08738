/** Orders a certificate by ACME (RFC 8555), proving control of the name over HTTP (section 8.3). */
import { generateKeyPairSync } from "node:crypto";
import { Agent } from "node:https";
import { Failure, isFailure } from "#domain/failure.ts";
import type { CertificatePair } from "../identity/site-certificate.ts";

/** One call to the authority, which may be far away and busy. */
const CALL_MS_MAX = 30_000;
/** Of a call that the authority could not answer; orders are tried again later anyway. */
const CALL_RETRIES_MAX = 2;
const CALL_RETRY_SECONDS = 2;
/** How often, and how long after one another, the authority is asked whether it has validated or issued. */
const POLLS_MAX = 12;
const POLL_MS_MIN = 1_000;
const POLL_MS_MAX = 15_000;

export interface AcmeAuthority {
  readonly directoryUrl: string;
  /** Where the authority writes to; none is fine for most. */
  readonly email?: string;
  /** PEM of who signed the certificate of the directory itself, where it is no public one. */
  readonly trustedPem?: string;
  /** In PEM; whoever has it is the account. */
  readonly accountKeyPem: string;
}

/** What the authority is to find under the token at every address of the name. */
export interface HttpChallenge {
  readonly name: string;
  readonly token: string;
  readonly keyAuthorization: string;
}

export interface ChallengePort {
  /** Resolves once whoever may be asked has it. */
  publish(challenge: HttpChallenge, signal: AbortSignal): Promise<void>;
  withdraw(challenge: HttpChallenge): void;
}

export function createAcmeKeyPem(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

/** A new key and its certificate, not verified yet. Throws `unavailable` saying what the authority said. */
export async function orderCertificate(
  authority: AcmeAuthority,
  name: string,
  { challenges, signal }: { readonly challenges: ChallengePort; readonly signal: AbortSignal },
): Promise<CertificatePair> {
  try {
    return await inTime(order(authority, name, challenges, signal), signal);
  } catch (error) {
    if (isFailure(error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const message = `${authority.directoryUrl}: no certificate for ${name}: ${reason}`;
    throw new Failure("unavailable", message, { cause: error, retryable: true });
  }
}

async function order(
  authority: AcmeAuthority,
  name: string,
  challenges: ChallengePort,
  signal: AbortSignal,
): Promise<CertificatePair> {
  const acme = await loadLibrary(authority.trustedPem);
  const { directoryUrl, accountKeyPem, email } = authority;
  const backoff = { backoffAttempts: POLLS_MAX, backoffMin: POLL_MS_MIN, backoffMax: POLL_MS_MAX };
  const client = new acme.Client({ directoryUrl, accountKey: accountKeyPem, ...backoff });
  const contact = email === undefined ? {} : { contact: [`mailto:${email}`] };
  await client.createAccount({ termsOfServiceAgreed: true, ...contact });
  const placed = await client.createOrder({ identifiers: [{ type: "dns", value: name }] });
  for (const authorization of await client.getAuthorizations(placed)) {
    if (authorization.status === "valid") continue;
    const challenge = authorization.challenges.find(({ type }) => type === "http-01");
    if (challenge === undefined) throw new Error("the authority offers no http-01 challenge");
    const keyAuthorization = await client.getChallengeKeyAuthorization(challenge);
    const published = { name, token: challenge.token, keyAuthorization };
    try {
      await challenges.publish(published, signal);
      await client.completeChallenge(challenge);
      await client.waitForValidStatus(challenge);
    } finally {
      challenges.withdraw(published);
    }
  }
  const keyPem = createAcmeKeyPem();
  const [, request] = await acme.crypto.createCsr({ commonName: name, altNames: [name] }, keyPem);
  const finalized = await client.finalizeOrder(placed, request);
  return { certificatePem: await client.getCertificate(finalized), keyPem };
}

/** Large, and needed some times a year. Its one HTTP client serves the process. */
async function loadLibrary(trustedPem: string | undefined) {
  const acme = await import("acme-client");
  const settings = { retryMaxAttempts: CALL_RETRIES_MAX, retryDefaultDelay: CALL_RETRY_SECONDS };
  Object.assign(acme.axios.defaults, { timeout: CALL_MS_MAX, acmeSettings: settings });
  if (trustedPem !== undefined) acme.axios.defaults.httpsAgent = new Agent({ ca: trustedPem });
  return acme;
}

/** The library takes no signal; what it still does is bounded by its own attempts. */
function inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
