import { fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import t from "tap";
import { testFolder } from "#test/test-folder.ts";
import { bundleProgram } from "./bundle.ts";

/** What the edge loads only once it serves, or when it is asked for: each is larger than the edge itself. */
const LATE = ["@grpc/grpc-js", "undici", "@peculiar/x509", "fastify", "jose"];

const outDir = testFolder(t);
const main = await bundleProgram("edge-node", outDir);
const folder = dirname(main);
const parts = readdirSync(folder).filter((name) => name.endsWith(".mjs"));
const textOf = (name: string) => readFileSync(join(folder, name), "utf8");

t.test("an unchanged tree is bundled once, also by two at the same time, and one path stays", async (t) => {
  const madeAtMs = statSync(main).mtimeMs;
  t.same(await Promise.all([1, 2].map(() => bundleProgram("edge-node", outDir))), [main, main]);
  t.equal(statSync(main).mtimeMs, madeAtMs);
  const fresh = testFolder(t);
  const [one, other] = await Promise.all([1, 2].map(() => bundleProgram("edge-node", fresh)));
  t.equal(one, other);
  t.same(readdirSync(fresh).length, 2, "a bundle and the link to it, nothing half made");
  t.equal(realpathSync(join(fresh, "edge-node", "main.mjs")), realpathSync(one ?? ""));
});

t.test("the bundle starts, and each of its parts loads", async (t) => {
  const help = spawnSync(process.execPath, [main, "--help"], { encoding: "utf8" });
  t.match(help, { status: 0, stdout: /^edge-node: serves content/, stderr: "" });
  const late = parts.filter((name) => name !== "main.mjs").map((name) => join(folder, name));
  t.ok(late.length > 5, `${late.length} parts`);
  const code = `for (const part of ${JSON.stringify(late)}) await import(part);`;
  const loaded = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
  t.match(loaded, { status: 0, stderr: "" });
});

t.test("the bundle has what a front process is started from", async (t) => {
  const front = fork(join(folder, "front-process.mjs"), { serialization: "advanced" });
  t.teardown(() => front.kill("SIGKILL"));
  const http = { host: "127.0.0.1", port: 0 };
  front.send({ kind: "start", http, carriers: join(outDir, "none", "main.sock"), accessLog: "off" });
  const [message] = await once(front, "message");
  t.match(message, { kind: "listening", http: { host: "127.0.0.1", port: Number } });
  const ended = once(front, "exit");
  front.disconnect();
  t.same(await ended, [0, null], "it ends with who started it");
});

t.test("what serves stored content is loaded without what it can do without", async (t) => {
  const early = new Set<string>();
  const add = (name: string): void => {
    if (early.has(name)) return;
    early.add(name);
    for (const [, imported = ""] of textOf(name).matchAll(/\b(?:from|import)"\.\/([^"]+)"/g)) add(imported);
  };
  for (const name of parts.filter((part) => /^(main|command-line-.*)\.mjs$/.test(part))) add(name);
  t.ok(early.size > 2, `${[...early].join(", ")} are loaded first`);
  const holds = (names: Iterable<string>, library: string) =>
    [...names].some((name) => sourcesOf(name).some((source) => source.includes(`/node_modules/${library}/`)));
  t.ok(holds(early, "typebox"), "libraries are found by their name");
  for (const library of LATE) t.notOk(holds(early, library), `${library} is not among them`);
  const isOfProcesses = (name: string) => sourcesOf(name).some((source) => source.includes("/edge-node/processes/"));
  t.ok(parts.some(isOfProcesses), "what several processes need is there");
  t.same([...early].filter(isOfProcesses), [], "and is loaded where there are several");
  for (const library of ["@grpc/grpc-js", "undici"]) t.ok(holds(parts, library), `${library} is in a part that is`);
});

/** What a part is made of, by its source map. */
function sourcesOf(part: string): readonly string[] {
  const { sources }: { sources: readonly string[] } = JSON.parse(textOf(`${part}.map`));
  return sources;
}
