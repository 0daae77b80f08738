/** The ledger as it is configured: over TLS with a password, and what an operator is told where that is wrong. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import t, { type Test } from "tap";
import type { Failure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { RedisServer, redisIsMissing } from "../../test/redis/redis-server.ts";
import { testFolder } from "../../test/test-folder.ts";
import { createTestAuthority } from "../../test/tls/certificates.ts";
import { type OpenedLedger, openLedger } from "./open-ledger.ts";

const reason = redisIsMissing() ?? false;
const session = { session: "s-1", attempt: 1, app: "hall", appSessionsMax: 1 };
const wish = { ...session, pool: "near", renderClass: "small", excludedAgents: new Set<string>() };

interface Where {
  readonly url: string;
  readonly user?: string;
  readonly passwordFile?: string;
  readonly authorityFile?: string;
}

interface Opened extends OpenedLedger {
  /** Told of the first that came: that it is up, or why not. */
  readonly heard: Promise<"up" | Failure>;
  readonly failed: readonly string[];
}

async function open(t: Test, where: Where): Promise<Opened> {
  const stack = new AsyncDisposableStack();
  t.teardown(() => stack.disposeAsync());
  const first = Promise.withResolvers<"up" | Failure>();
  const failed: string[] = [];
  const events = {
    redisUp: () => first.resolve("up"),
    redisDown: first.resolve,
    failed: (operation: string, { message }: Failure) => failed.push(`${operation}: ${message}`),
  };
  const tools = { clock: systemClock, random: systemRandom, events };
  const opened = await openLedger({ ledger: { redis: { prefix: "perigee/", ...where } } }, tools, stack);
  return { ...opened, heard: first.promise, failed };
}

/** Why nothing is placed, by the log, `/readyz` and the caller alike. */
async function refusedBy(t: Test, where: Where): Promise<string> {
  const { ledger, standing, heard } = await open(t, where);
  const failure = await heard;
  if (failure === "up") return "up";
  t.equal(failure.code, "unavailable");
  const said = failure.message.replace(/^Redis at \S+ cannot be used: /, "").replace(/: try again$/, "");
  t.match(standing(), `cannot be used, no session is placed: ${said}`);
  await t.rejects(ledger.reserve(wish), { code: "unavailable", retryable: true, message: failure.message });
  return said;
}

function fileIn(folder: string, text: string): string {
  const path = join(folder, systemRandom.uuid());
  writeFileSync(path, text);
  return path;
}

t.test("with a password, over TLS by an authority of its own", { skip: reason }, async (t) => {
  const folder = testFolder(t);
  const { authorityPem, issue } = await createTestAuthority(systemClock.nowMs());
  const server = await RedisServer.start({ folder, password: "right", issue });
  t.teardown(() => server.kill());
  const { url } = server;
  const passwordFile = fileIn(folder, "right\n");
  const authorityFile = fileIn(folder, authorityPem);
  const { ledger, standing, heard } = await open(t, { url, passwordFile, authorityFile });
  t.equal(await heard, "up");
  t.equal(standing(), `ledger in Redis at ${server.host}:${server.port}`);
  t.equal(await ledger.reserve(wish), "closed", "it answers");

  const other = fileIn(folder, (await createTestAuthority(systemClock.nowMs())).authorityPem);
  const untrusted = /^its certificate is signed by nobody who is trusted here \(/;
  t.match(await refusedBy(t, { url, passwordFile, authorityFile: other }), untrusted);
  t.match(await refusedBy(t, { url, passwordFile }), untrusted, "no public authority");
  const plain = url.replace("rediss:", "redis:");
  t.match(
    await refusedBy(t, { url: plain, passwordFile }),
    /^it closed the connection, as one does at once that wants TLS/,
  );
});

t.test("a certificate for another name is refused", { skip: reason }, async (t) => {
  const folder = testFolder(t);
  const { authorityPem, issue } = await createTestAuthority(systemClock.nowMs());
  const server = await RedisServer.start({ folder, issue: () => issue(["redis.test"]) });
  t.teardown(() => server.kill());
  const said = await refusedBy(t, { url: server.url, authorityFile: fileIn(folder, authorityPem) });
  t.match(said, /^its certificate is for another name \(/);
});

t.test("a wrong password, a missing one and an unknown user are told apart", { skip: reason }, async (t) => {
  const folder = testFolder(t);
  const server = await RedisServer.start({ folder, password: "right" });
  t.teardown(() => server.kill());
  const { url } = server;
  const passwordFile = fileIn(folder, "right");
  t.equal(await refusedBy(t, { url, passwordFile }), "up");
  const refused = /^it refuses the user or the password \(WRONGPASS /;
  t.match(await refusedBy(t, { url, passwordFile: fileIn(folder, "wrong") }), refused);
  t.match(await refusedBy(t, { url, user: "nobody", passwordFile }), refused);
  t.match(await refusedBy(t, { url }), /^it asks for a password and was given none \(NOAUTH /);
});

t.test(
  "a user with the rights that the documents name does all, one with others is told",
  { skip: reason },
  async (t) => {
    const folder = testFolder(t);
    const server = await RedisServer.start({ folder });
    t.teardown(() => server.kill());
    const { url } = server;
    const admin = new Redis(url);
    t.teardown(() => admin.disconnect());
    const rights = ["+@scripting", "+@read", "+@write", "+time", "+@connection", "+info"];
    await admin.call("ACL", "SETUSER", "perigee", "on", ">right", "~perigee/*", ...rights);
    await admin.call("ACL", "SETUSER", "other", "on", ">right", "~other/*", ...rights);
    const passwordFile = fileIn(folder, "right");
    const { ledger, heard, failed } = await open(t, { url, user: "perigee", passwordFile });
    t.equal(await heard, "up");
    const slots = [{ renderClass: "small", total: 1, free: 1, frameMsP95: 8 }];
    const agent = { agent: "a", incarnation: "1", ready: true, reasons: [], slots, sessions: [] };
    await ledger.report({ pool: "near", node: "near-1", agents: [agent] });
    await ledger.probed({ pool: "near", freeSlots: { small: 1 }, ageMs: 0 });
    t.equal(await ledger.reserve(wish), "reserved");
    t.equal((await ledger.capacities([wish]))[0]?.slotsFree, 0);
    t.equal(await ledger.countSessions("hall"), 1);
    await ledger.release("s-1");
    t.same(failed, []);

    const other = await open(t, { url, user: "other", passwordFile });
    t.equal(await other.heard, "up", "nothing is asked yet");
    await t.rejects(other.ledger.reserve(wish), {
      code: "unavailable",
      message: "it does not permit this user what is asked (NOPERM",
    });
    await admin.config("SET", "maxmemory", "1");
    await ledger.report({ pool: "far", node: "far-1", agents: [agent] });
    t.match(failed, [/^report: Redis at \S+ cannot be used: it is at its maxmemory \(OOM /]);
  },
);

t.test("a Redis that is not there is dialled until it is", { skip: reason }, async (t) => {
  const folder = testFolder(t);
  const server = await RedisServer.start({ folder });
  await server.kill();
  const { url } = server;
  t.match(await refusedBy(t, { url }), /^nothing listens there \(connect ECONNREFUSED /);
});

t.test("what the configuration names wrongly is said before anything is dialled", async (t) => {
  const folder = testFolder(t);
  const url = "redis://127.0.0.1:6379";
  const tls = "rediss://127.0.0.1:6379";
  const missing = join(folder, "missing");
  const faults: readonly (readonly [Where, string])[] = [
    [{ url: "redis://host:port" }, "ledger.redis.url: redis://host:port is no address, expected redis://host:port"],
    [{ url: "redis://127.0.0.1:65536" }, "ledger.redis.url: redis://127.0.0.1:65536 is no address"],
    [{ url, authorityFile: missing }, `ledger.redis.authorityFile: it is for rediss:// only, and url is ${url}`],
    [{ url: tls, authorityFile: missing }, `ledger.redis.authorityFile: ${missing} cannot be read (no such file`],
    [{ url: tls, authorityFile: fileIn(folder, "pem") }, "holds no certificate, expected PEM"],
    [{ url, passwordFile: missing }, `ledger.redis.passwordFile: ${missing} cannot be read (no such file`],
    [{ url, passwordFile: fileIn(folder, " \n") }, "is empty, expected one line with the password"],
  ];
  for (const [where, said] of faults) {
    await t.rejects(open(t, where), { code: "config-invalid", message: said }, JSON.stringify(where));
  }
});
