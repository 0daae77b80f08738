/** Why a Redis cannot be used, as an operator is told. Pure. */

const UNTRUSTED = "its certificate is signed by nobody who is trusted here";
const CLOSED = "it closed the connection, as one does at once that wants TLS (rediss://)";

/** Of the system and of TLS, by code. */
const BY_CODE: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "its name is not known",
  EAI_AGAIN: "its name cannot be looked up now",
  EHOSTUNREACH: "there is no way to it",
  ENETUNREACH: "there is no way to it",
  ETIMEDOUT: "it does not answer in time, or does not speak TLS where rediss:// is asked for",
  ECONNRESET: CLOSED,
  EPIPE: CLOSED,
  CERT_SIGNATURE_FAILURE: UNTRUSTED,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
  CERT_HAS_EXPIRED: "its certificate has expired",
};

/** Of Redis, by the first word of its error. */
const BY_REPLY: Readonly<Record<string, string>> = {
  WRONGPASS: "it refuses the user or the password",
  NOAUTH: "it asks for a password and was given none",
  NOPERM: "it does not permit this user what is asked",
  READONLY: "it is a replica, which takes no writes",
  OOM: "it is at its maxmemory",
  WRONGTYPE: "a key that is ours holds what somebody else wrote",
  LOADING: "it reads its data from disk first",
};

/** `undefined`: the connection was closed without a word. */
export function redisReasonOf(error: unknown): string {
  if (error === undefined) return CLOSED;
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const [word = ""] = error.message.split(" ", 1);
  const known = BY_CODE[code] ?? BY_REPLY[word];
  return known === undefined ? error.message : `${known} (${error.message})`;
}
