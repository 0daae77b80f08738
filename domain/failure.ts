/** The expected failures of the outside world: one closed union of codes, each explained in docs/errors.md. Pure. */

/** Every code, in alphabetical order; docs/errors.md has the cause and the remedy of each. */
export const FAILURE_CODES = [
  "app-failed",
  "app-invalid",
  "archive-invalid",
  "argument-invalid",
  "attempt-superseded",
  "certificate-invalid",
  "certificate-untrusted",
  "config-invalid",
  "deadline-exceeded",
  "digest-mismatch",
  "disk-full",
  "encoder-unavailable",
  "epoch-regressed",
  "generation-regressed",
  "gpu-unavailable",
  "guard-rails-broken",
  "join-token-expired",
  "join-token-name",
  "join-token-unknown",
  "join-token-used",
  "loop-detected",
  "manifest-invalid",
  "media-invalid",
  "no-pool-fits",
  "not-found",
  "overloaded",
  "permission-denied",
  "placement-refused",
  "proof-invalid",
  "resource-conflict",
  "resource-invalid",
  "revision-compacted",
  "revision-quarantined",
  "scene-invalid",
  "shrink-refused",
  "signature-invalid",
  "storage-failed",
  "token-expired",
  "token-invalid",
  "token-revoked",
  "unavailable",
  "upstream-malformed",
  "upstream-timeout",
  "upstream-truncated",
] as const;

export type FailureCode = (typeof FAILURE_CODES)[number];

export interface FailureOptions {
  /** Whether the same call may succeed when it is made again; false unless said. */
  readonly retryable?: boolean;
  readonly cause?: unknown;
  /** What a program may read besides the message: names, limits, the best achievable value. */
  readonly detail?: Readonly<Record<string, unknown>>;
}

export class Failure extends Error {
  override readonly name = "Failure";
  readonly code: FailureCode;
  readonly retryable: boolean;
  readonly detail: Readonly<Record<string, unknown>>;

  /** `message` names the thing, what was wrong with it, what was expected and what to do. */
  constructor(code: FailureCode, message: string, options: FailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.detail = options.detail ?? {};
  }
}

export function isFailure(error: unknown, code?: FailureCode): error is Failure {
  return error instanceof Failure && (code === undefined || error.code === code);
}
