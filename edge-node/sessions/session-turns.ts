/** One call at a time for each session: two connects of one attempt follow each other, and get one lease. */
import { Failure } from "#domain/failure.ts";

/** Calls in work or waiting, of all sessions and of one; a call takes some seconds at most. */
export const CALLS_MAX = 512;
export const CALLS_OF_SESSION_MAX = 4;

export class SessionTurns {
  readonly #last = new Map<string, { readonly ended: Promise<unknown>; readonly count: number }>();
  #calls = 0;

  /** Throws a retryable `overloaded` at a limit, without waiting. */
  async run<T>(session: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(session);
    const count = (before?.count ?? 0) + 1;
    if (this.#calls >= CALLS_MAX || count > CALLS_OF_SESSION_MAX) {
      throw new Failure("overloaded", "too many calls are in work, of this session or of all: try again", {
        retryable: true,
      });
    }
    this.#calls += 1;
    const turn = before === undefined ? work() : before.ended.then(work);
    const mine = { ended: turn.catch(() => undefined), count };
    this.#last.set(session, mine);
    try {
      return await turn;
    } finally {
      this.#calls -= 1;
      if (this.#last.get(session) === mine) this.#last.delete(session);
    }
  }
}
