/** How many sessions each app has, where one session may be told of more than once: by two edges, or promised and running. */
export class SessionIndex {
  readonly #mentions = new Map<string, Map<string, number>>();

  add(app: string, session: string): void {
    const sessions = this.#mentions.get(app) ?? new Map<string, number>();
    this.#mentions.set(app, sessions);
    sessions.set(session, (sessions.get(session) ?? 0) + 1);
  }

  /** Takes one mention back. */
  remove(app: string, session: string): void {
    const sessions = this.#mentions.get(app);
    const mentions = sessions?.get(session) ?? 0;
    if (mentions > 1) sessions?.set(session, mentions - 1);
    else sessions?.delete(session);
    if (sessions?.size === 0) this.#mentions.delete(app);
  }

  has(app: string, session: string): boolean {
    return this.#mentions.get(app)?.has(session) === true;
  }

  count(app: string): number {
    return this.#mentions.get(app)?.size ?? 0;
  }
}
