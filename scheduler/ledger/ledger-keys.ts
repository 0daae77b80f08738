/** Where the ledger keeps what in Redis. The version goes up with any change: replicas of two versions then do not read each other. */

const VERSION = 2;

export const KEY_PARTS = {
  /** Hash: `at` and what `n`odes said together (`c/CLASS`, by agent `x/CLASS`), and the last probe (`pa`, `pf`). */
  pool: "p/",
  /** What one edge said last: its time, its slots and its sessions, a line each. */
  edge: "e/",
  /** Sorted set: sessions with a promise there, by its end. */
  promised: "q/",
  /** What a session is promised: the last attempt, its pool and app; then pool, attempt and end of each. */
  reservation: "r/",
  /** Sorted set: sessions of an app, running and promised, by the time until which they count. */
  app: "a/",
} as const;

export class LedgerKeys {
  /** Of every key. */
  readonly prefix: string;

  constructor(prefix: string) {
    this.prefix = `${prefix}ledger/${VERSION}/`;
  }

  pool(pool: string): string {
    return this.prefix + KEY_PARTS.pool + pool;
  }

  edge(pool: string, node: string): string {
    return `${this.prefix}${KEY_PARTS.edge}${pool}/${node}`;
  }

  promised(pool: string): string {
    return this.prefix + KEY_PARTS.promised + pool;
  }

  reservation(session: string): string {
    return this.prefix + KEY_PARTS.reservation + session;
  }

  app(app: string): string {
    return this.prefix + KEY_PARTS.app + app;
  }
}
