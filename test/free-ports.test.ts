import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import t from "tap";
import { closeServer, listen } from "#platform/http/listening.ts";
import { freePort } from "./free-ports.ts";

const MODULE = join(import.meta.dirname, "free-ports.ts");
const PROCESSES = 4;
/** More than one block has. */
const PORTS = 120;

/** Prints its ports when all others have theirs: a block goes back with its process. */
const PROGRAM = `
  const { freePort } = await import(${JSON.stringify(MODULE)});
  const ports = await Promise.all(Array.from({ length: ${PORTS} }, freePort));
  console.log(ports.join(" "));
  process.stdin.resume();
`;

t.test(
  "processes that live at once never have the same port, all below those of connections that go out",
  async (t) => {
    const children = Array.from({ length: PROCESSES }, () =>
      spawn(process.execPath, ["--input-type=module", "--eval", PROGRAM], { stdio: ["pipe", "pipe", "inherit"] }),
    );
    const printed = children.map(({ stdout }) => text(stdout));
    await Promise.all(children.map(({ stdout }) => once(stdout, "data")));
    for (const { stdin } of children) stdin.end();
    const ports = (await Promise.all(printed)).flatMap((line) => line.trim().split(" ").map(Number));
    t.equal(new Set(ports).size, PROCESSES * PORTS);
    t.ok(ports.every((port) => port >= 20_000 && port < 32_000));
  },
);

t.test("one that somebody else listens at is left out", async (t) => {
  const next = (await freePort()) + 1;
  const server = createServer();
  t.teardown(() => closeServer(server));
  await listen(server, { host: "127.0.0.1", port: next });
  t.not(await freePort(), next);
});
