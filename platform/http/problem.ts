/** Failure codes as HTTP: one table from code to status, and the RFC 9457 problem they become. Pure. */
import type { Failure, FailureCode } from "#domain/failure.ts";

/** Every code has a status: the compiler holds the table total. */
export const HTTP_STATUS_BY_CODE: Readonly<Record<FailureCode, number>> = {
  "app-failed": 422,
  "app-invalid": 422,
  "archive-invalid": 422,
  "argument-invalid": 400,
  "attempt-superseded": 409,
  "certificate-invalid": 422,
  "certificate-untrusted": 403,
  "config-invalid": 500,
  "deadline-exceeded": 504,
  "digest-mismatch": 422,
  "disk-full": 507,
  "encoder-unavailable": 503,
  "epoch-regressed": 409,
  "generation-regressed": 409,
  "gpu-unavailable": 503,
  "guard-rails-broken": 422,
  "join-token-expired": 403,
  "join-token-name": 403,
  "join-token-unknown": 403,
  "join-token-used": 403,
  "loop-detected": 508,
  "manifest-invalid": 422,
  "media-invalid": 422,
  "no-pool-fits": 503,
  "not-found": 404,
  overloaded: 503,
  "permission-denied": 403,
  "placement-refused": 403,
  "proof-invalid": 401,
  "resource-conflict": 409,
  "resource-invalid": 422,
  "revision-compacted": 410,
  "revision-quarantined": 409,
  "scene-invalid": 422,
  "shrink-refused": 409,
  "signature-invalid": 403,
  "storage-failed": 500,
  "token-expired": 401,
  "token-invalid": 401,
  "token-revoked": 401,
  unavailable: 503,
  "upstream-malformed": 502,
  "upstream-timeout": 504,
  "upstream-truncated": 502,
};

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: FailureCode;
  readonly [extension: string]: unknown;
}

/** `docs/errors.md` has a heading for each code. */
export const PROBLEM_TYPE_PREFIX = "https://perigee.dev/problems/";

export function problemOf(failure: Failure): Problem {
  return {
    ...failure.detail,
    type: `${PROBLEM_TYPE_PREFIX}${failure.code}`,
    title: failure.code.replaceAll("-", " "),
    status: HTTP_STATUS_BY_CODE[failure.code],
    detail: failure.message,
    code: failure.code,
  };
}
