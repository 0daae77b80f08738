/** One-time join tokens: bound to a node's name, role and pool; only their SHA-256 is stored. */
import { createHash } from "node:crypto";
import { assert } from "#domain/assert.ts";
import { Failure } from "#domain/failure.ts";
import { NODE_ROLES, type NodeRole } from "#domain/fleet/node.ts";
import type { Labels } from "#domain/placement/labels.ts";
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import { openDatabase } from "#platform/sqlite/database.ts";

/** 256 bits: cannot be guessed, so a fast hash is enough. */
const TOKEN_BYTES = 32;
/** Tokens used or expired are forgotten after this; until then they get their exact answer. */
const RETENTION_MS = 30 * 86_400_000;

export interface JoinGrant {
  readonly role: NodeRole;
  readonly name: string;
  /** `-` for a scheduler. */
  readonly pool: string;
  readonly labels: Labels;
}

export interface JoinTokens extends Disposable {
  create(grant: JoinGrant, lifetimeMs: number): { readonly token: string; readonly expiresAtMs: number };
  /** What the token grants, without using it up. Throws `join-token-unknown`, `join-token-used`, `join-token-expired` or `join-token-name`. */
  check(token: string, nodeName: string): JoinGrant;
  /** The same, and uses the token up: of two at once, one gets it. */
  redeem(token: string, nodeName: string): JoinGrant;
}

const MIGRATIONS = [
  `CREATE TABLE join_tokens (
     hash TEXT PRIMARY KEY, role TEXT NOT NULL, name TEXT NOT NULL, pool TEXT NOT NULL, labels TEXT NOT NULL,
     expires_at_ms INTEGER NOT NULL, used INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;`,
];

export function openJoinTokens(path: string, { clock, random }: { clock: Clock; random: Random }): JoinTokens {
  const database = openDatabase(path, { migrations: MIGRATIONS, durability: "full" });
  const insert = database.prepare("INSERT INTO join_tokens VALUES (?, ?, ?, ?, ?, ?, 0)");
  const find = database.prepare("SELECT * FROM join_tokens WHERE hash = ?");
  const use = database.prepare("UPDATE join_tokens SET used = 1 WHERE hash = ?");
  const forget = database.prepare("DELETE FROM join_tokens WHERE expires_at_ms < ?");
  const check = (token: string, nodeName: string): JoinGrant => {
    const row = find.get(hashOf(token));
    if (row === undefined) throw new Failure("join-token-unknown", "this join token was not made by this origin");
    const grant = grantOf(row);
    if (row["used"] === 1) throw new Failure("join-token-used", `the join token of ${grant.name} was used before`);
    if (Number(row["expires_at_ms"]) <= clock.nowMs()) {
      throw new Failure("join-token-expired", `the join token of ${grant.name} has expired: make a new one`);
    }
    if (grant.name !== nodeName) {
      throw new Failure("join-token-name", `the join token is for ${grant.name}, not for ${nodeName}`);
    }
    return grant;
  };
  return {
    create(grant, lifetimeMs) {
      const token = Buffer.from(random.bytes(TOKEN_BYTES)).toString("base64url");
      const expiresAtMs = clock.nowMs() + lifetimeMs;
      forget.run(clock.nowMs() - RETENTION_MS);
      const labels = JSON.stringify(grant.labels);
      insert.run(hashOf(token), grant.role, grant.name, grant.pool, labels, expiresAtMs);
      return { token, expiresAtMs };
    },
    check,
    redeem: (token, nodeName) =>
      database.transaction(() => {
        const grant = check(token, nodeName);
        use.run(hashOf(token));
        return grant;
      }),
    [Symbol.dispose]: () => database.close(),
  };
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

function grantOf(row: Readonly<Record<string, unknown>>): JoinGrant {
  const role = NODE_ROLES.find((known) => known === row["role"]);
  assert(role !== undefined, "a stored join token has a role");
  const labels: unknown = JSON.parse(String(row["labels"]));
  assert(typeof labels === "object" && labels !== null, "a stored join token has labels");
  const entries = Object.entries(labels).map(([key, value]) => [key, String(value)]);
  return { role, name: String(row["name"]), pool: String(row["pool"]), labels: Object.fromEntries(entries) };
}
