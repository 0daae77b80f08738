import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Value } from "typebox/value";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { seededRandom } from "#platform/random.ts";
import { freePort } from "#test/free-ports.ts";
import { testFolder } from "#test/test-folder.ts";
import { controlFileSchema, startControl } from "./control.ts";
import { startLinks } from "./links.ts";
import type { ProgramState, SupervisedProgram } from "./supervised.ts";

/** A program that only notes what it is told. */
function noting(name: string, told: string[]): SupervisedProgram {
  let state: ProgramState = "running";
  const become = (next: ProgramState, what: string) => {
    state = next;
    told.push(`${name} ${what}`);
  };
  return {
    name,
    adminUrl: "",
    pid: undefined,
    get state() {
      return state;
    },
    start: async () => become("running", "start"),
    stop: async (how = "in-order") => become("stopped", how),
    crash: () => become("waiting", "crash"),
    kill: () => become("stopped", "kill"),
    [Symbol.asyncDispose]: async () => {},
  };
}

async function setUp(t: Test) {
  const target = createServer((_request, response) => response.end("served"));
  const { port } = await listen(target, { host: "127.0.0.1", port: 0 });
  const listenPort = await freePort();
  const random = seededRandom(3);
  const plan = { pool: "near", protocol: "tcp", listenPort, targetPort: port, portCount: 1, rttMs: 1 } as const;
  const links = await startLinks([plan], { clock: systemClock, random });
  const told: string[] = [];
  const file = join(testFolder(t), "control.json");
  const programs = [noting("origin", told), noting("near-1", told)];
  const { signal } = new AbortController();
  const control = await startControl({ port: 0, file, programs, killable: ["near-1"], links, random, signal });
  t.teardown(async () => {
    await control[Symbol.asyncDispose]();
    await links[Symbol.asyncDispose]();
    await closeServer(target);
  });
  t.equal(statSync(file).mode & 0o777, 0o600);
  const { url, token } = Value.Parse(controlFileSchema, JSON.parse(readFileSync(file, "utf8")));
  const ask = async (method: string, path: string, given = token) => {
    const response = await fetch(`${url}${path}`, { method, headers: { authorization: `Bearer ${given}` } });
    const body: unknown = await response.json();
    return { status: response.status, body };
  };
  const reach = () =>
    fetch(`http://127.0.0.1:${listenPort}`).then(
      (response) => response.text(),
      () => "refused",
    );
  const { pageFragment } = control;
  return { ask, told, reach, control, file, url, token, pageFragment };
}

t.test("programs are stopped, killed and started by name", async (t) => {
  const { ask, told } = await setUp(t);
  t.match(await ask("GET", "/"), { status: 200, body: { programs: [{ name: "origin", state: "running" }, {}] } });
  t.match(await ask("POST", "/stop/origin"), { status: 200, body: { programs: [{ state: "stopped" }, {}] } });
  await ask("POST", "/kill/near-1");
  await ask("POST", "/start/origin");
  t.strictSame(told, ["origin in-order", "near-1 at-once", "origin start"]);
  t.match(await ask("POST", "/stop/nobody"), {
    status: 404,
    body: { code: "not-found", detail: "there is no program nobody: there are origin, near-1" },
  });
});

t.test("a pool is cut off from its clients and restored", async (t) => {
  const { ask, reach } = await setUp(t);
  t.equal(await reach(), "served");
  t.match(await ask("POST", "/cut/near"), { body: { pools: [{ name: "near", rttMs: 1, isCut: true }] } });
  t.equal(await reach(), "refused");
  t.match(await ask("POST", "/restore/near"), { body: { pools: [{ isCut: false }] } });
  t.equal(await reach(), "served");
  t.match(await ask("POST", "/cut/elsewhere"), { status: 404, body: { detail: /no pool elsewhere: there are near/ } });
});

t.test("who does not have the folder's token changes nothing", async (t) => {
  const { ask, told, control, file } = await setUp(t);
  for (const token of ["", "guessed"]) {
    t.match(await ask("POST", "/stop/origin", token), { status: 401, body: { code: "token-invalid" } });
  }
  for (const [method, path] of [
    ["GET", "/stop/origin"],
    ["POST", "/"],
    ["POST", "/remove/origin"],
  ] as const) {
    t.match(await ask(method, path), { status: 404 }, `${method} ${path}`);
  }
  t.strictSame(told, []);
  await control[Symbol.asyncDispose]();
  t.notOk(existsSync(file), "who stops takes it along");
});

t.test("a page of the start crashes what serves it, and can do nothing else", async (t) => {
  const { told, url, token, pageFragment } = await setUp(t);
  const [, port, pageToken = ""] = /^#machine=(\d+)\.([\w-]{43})$/.exec(pageFragment) ?? [];
  t.equal(`http://127.0.0.1:${port}`, url);
  const ask = async (
    path: string,
    given = pageToken,
    method = "POST",
    origin = "http://vr.near-1.edge.localhost:7420",
  ) => {
    const response = await fetch(`${url}${path}`, { method, headers: { authorization: `Bearer ${given}`, origin } });
    await response.body?.cancel();
    return { status: response.status, readableBy: response.headers.get("access-control-allow-origin") };
  };
  t.match(await ask("/page/kill/near-1"), { status: 204, readableBy: "http://vr.near-1.edge.localhost:7420" });
  t.strictSame(told.splice(0), ["near-1 crash"]);
  t.match(await ask("/page/kill/near-1", "", "OPTIONS"), { status: 204, readableBy: /^http/ }, "a preflight");
  const refused: readonly (readonly [path: string, token: string, method: string, status: number])[] = [
    ["/page/kill/origin", pageToken, "POST", 404],
    ["/page/kill/near-1", pageToken, "GET", 404],
    ["/page/stop/near-1", pageToken, "POST", 404],
    ["/page/kill/near-1", token, "POST", 401],
    ["/page/kill/near-1", "", "POST", 401],
    ["/stop/near-1", pageToken, "POST", 401],
    ["/", pageToken, "GET", 401],
  ];
  for (const [path, given, method, status] of refused) {
    t.match(await ask(path, given, method), { status }, `${method} ${path}`);
  }
  for (const origin of ["http://evil.example", "http://vr.localhost.evil.example", "null"]) {
    t.match(await ask("/page/kill/near-1", "", "OPTIONS", origin), { readableBy: null }, `a preflight of ${origin}`);
  }
  t.strictSame(told, []);
});
