/** Failure codes as gRPC statuses, one table; the code itself travels in the trailers. */
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { FAILURE_CODES, Failure, type FailureCode, isFailure } from "#domain/failure.ts";

const CODE_KEY = "perigee-code";
const RETRYABLE_KEY = "perigee-retryable";

/** gRPC's own words for what others must understand; everything else is FAILED_PRECONDITION. */
const STATUS_BY_CODE: Readonly<Partial<Record<FailureCode, status>>> = {
  "argument-invalid": status.INVALID_ARGUMENT,
  "certificate-untrusted": status.UNAUTHENTICATED,
  "deadline-exceeded": status.DEADLINE_EXCEEDED,
  "disk-full": status.RESOURCE_EXHAUSTED,
  "join-token-expired": status.UNAUTHENTICATED,
  "join-token-unknown": status.UNAUTHENTICATED,
  "not-found": status.NOT_FOUND,
  overloaded: status.RESOURCE_EXHAUSTED,
  "permission-denied": status.PERMISSION_DENIED,
  "resource-conflict": status.ABORTED,
  "revision-compacted": status.OUT_OF_RANGE,
  "storage-failed": status.INTERNAL,
  "token-expired": status.UNAUTHENTICATED,
  "token-invalid": status.UNAUTHENTICATED,
  "token-revoked": status.UNAUTHENTICATED,
  unavailable: status.UNAVAILABLE,
};

/** What a handler threw, as the error that grpc-js sends; bugs become INTERNAL without their text. */
export function toServiceError(error: unknown): Pick<ServiceError, "code" | "details" | "metadata"> {
  const metadata = new Metadata();
  if (!isFailure(error)) return { code: status.INTERNAL, details: "internal error", metadata };
  metadata.set(CODE_KEY, error.code);
  metadata.set(RETRYABLE_KEY, String(error.retryable));
  return { code: STATUS_BY_CODE[error.code] ?? status.FAILED_PRECONDITION, details: error.message, metadata };
}

/** What a call ended with, as the Failure that the other side threw, or the nearest one. */
export function toFailure(error: unknown, what: string): Failure {
  if (isFailure(error)) return error;
  if (!isServiceError(error))
    return new Failure("unavailable", `${what}: ${String(error)}`, { cause: error, retryable: true });
  const code = FAILURE_CODES.find((known) => known === error.metadata?.get(CODE_KEY)[0]);
  if (code !== undefined) {
    return new Failure(code, error.details, {
      cause: error,
      retryable: error.metadata?.get(RETRYABLE_KEY)[0] === "true",
    });
  }
  return new Failure(codeOfStatus(error.code), `${what}: ${error.details}`, {
    cause: error,
    retryable: isTransient(error.code),
  });
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}

function codeOfStatus(code: status): FailureCode {
  switch (code) {
    case status.DEADLINE_EXCEEDED:
      return "deadline-exceeded";
    case status.NOT_FOUND:
      return "not-found";
    case status.PERMISSION_DENIED:
      return "permission-denied";
    case status.RESOURCE_EXHAUSTED:
      return "overloaded";
    case status.UNAUTHENTICATED:
      return "certificate-untrusted";
    default:
      return "unavailable";
  }
}

function isTransient(code: status): boolean {
  return code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED || code === status.RESOURCE_EXHAUSTED;
}
