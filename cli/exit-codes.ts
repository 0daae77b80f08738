/** What the exit status of `perigee` means; `perigee --help` prints it. Pure. */
import type { FailureCode } from "#domain/failure.ts";

export const EXIT = { ok: 0, refused: 1, usage: 2, unreachable: 3, notAllowed: 4, notFound: 5 } as const;

export function exitCodeOf(code: FailureCode): number {
  switch (code) {
    case "argument-invalid":
    case "config-invalid":
      return EXIT.usage;
    case "unavailable":
    case "deadline-exceeded":
      return EXIT.unreachable;
    case "permission-denied":
    case "token-expired":
    case "token-invalid":
    case "token-revoked":
      return EXIT.notAllowed;
    case "not-found":
      return EXIT.notFound;
    default:
      return EXIT.refused;
  }
}

export const EXIT_CODE_HELP = `Exit status:
  0  done
  1  refused: the request was understood and not carried out
  2  wrong usage: flags, files or resources that are not valid
  3  the origin or the scheduler cannot be reached
  4  the token is missing, invalid, expired or may not do this
  5  there is no such thing`;
