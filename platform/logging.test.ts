import t from "tap";
import { Failure } from "#domain/failure.ts";
import { createLogger } from "#platform/logging.ts";

function recording(): { lines: string[]; write: (line: string) => void } {
  const lines: string[] = [];
  return { lines, write: (line) => void lines.push(line) };
}

t.test("a record says program, level, time and its fields", async (t) => {
  const destination = recording();
  createLogger({ program: "edge-node", level: "info", destination }).info({ pool: "near" }, "started");
  t.match(JSON.parse(destination.lines[0] ?? ""), {
    program: "edge-node",
    level: "info",
    pool: "near",
    msg: "started",
    time: /^\d{4}-\d\d-\d\dT/,
  });
});

t.test("secrets are never written, wherever they are within two levels", async (t) => {
  const destination = recording();
  const logger = createLogger({ program: "origin", level: "debug", destination });
  const secret = "s3cr3t-value";
  logger.info({
    token: secret,
    key: secret,
    authorization: secret,
    headers: { cookie: secret, "set-cookie": secret, authorization: secret },
    request: { headers: { authorization: secret, cookie: secret }, token: secret },
    identity: { privateKey: secret, key: secret },
    cacheKey: "kept",
  });
  const line = destination.lines[0] ?? "";
  t.notMatch(line, secret);
  t.match(line, "[redacted]");
  t.match(line, "kept");
});

t.test("a failure is logged with code and cause, and levels below the logger's are not", async (t) => {
  const destination = recording();
  const logger = createLogger({ program: "origin", level: "warn", destination });
  logger.info("not written");
  logger.error({ err: new Failure("disk-full", "blob: no space", { cause: new Error("ENOSPC") }) }, "write failed");
  t.equal(destination.lines.length, 1);
  t.match(JSON.parse(destination.lines[0] ?? ""), { err: { code: "disk-full", message: /no space.*ENOSPC/ } });
});
