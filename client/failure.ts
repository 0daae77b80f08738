/** What can go wrong between a page and Perigee, by the code of the problem that was answered (RFC 9457). */

export class ClientFailure extends Error {
  override readonly name = "ClientFailure";
  /** A code of docs/errors.md, or `unreachable` where nobody answered. */
  readonly code: string;
  readonly problem: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, problem: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.code = code;
    this.problem = problem;
  }
}
