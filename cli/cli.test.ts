import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import t, { type Test } from "tap";
import { closeServer, listen } from "#platform/http/listening.ts";
import { seededRandom } from "#platform/random.ts";
import { testFolder } from "#test/test-folder.ts";
import { EXIT } from "./exit-codes.ts";
import { runCommandLine } from "./program.ts";

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly authorization: string;
  readonly body: Buffer;
}

type Answer = { readonly status: number; readonly body: unknown };

/** A real HTTP server that keeps what it was asked; answers by method and path. */
async function startApi(t: Test, answers: Readonly<Record<string, Answer>>): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const body = await readAll(request);
    seen.push({
      method: request.method ?? "",
      url: request.url ?? "",
      authorization: request.headers.authorization ?? "",
      body,
    });
    const answer = answers[`${request.method} ${request.url}`] ??
      answers[`${request.method} *`] ?? {
        status: 404,
        body: { code: "not-found", detail: "nothing here" },
      };
    response.writeHead(answer.status, { "content-type": "application/json" }).end(JSON.stringify(answer.body));
  });
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(server));
  return { url: `http://127.0.0.1:${port}`, seen };
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

async function run(words: readonly string[], variables: Record<string, string> = {}) {
  const out: string[] = [];
  const notes: string[] = [];
  const code = await runCommandLine(words, {
    output: { line: (text) => out.push(text), note: (text) => notes.push(text) },
    environment: { variables: { HOME: "/nowhere", ...variables }, folder: "/nowhere" },
    signal: new AbortController().signal,
    killSignal: new AbortController().signal,
  });
  return { code, out: out.join("\n"), notes: notes.join("\n") };
}

const site = `apiVersion: perigee.dev/v1
kind: Site
metadata:
  name: shop
spec:
  hostnames: [shop.localhost]
  publish: {}
`;

t.test("--help says what there is, each command has an example, and both exit with 0", async (t) => {
  const top = await run(["--help"]);
  t.equal(top.code, EXIT.ok);
  t.match(top.out, /apply/);
  t.match(top.out, /Exit status/);
  for (const command of [
    "apply",
    "get",
    "describe",
    "delete",
    "tombstone",
    "publish",
    "rollback",
    "revisions",
    "diff",
    "join-token",
    "app-token",
    "operator-token",
    "authority",
    "rotate-authority",
    "usage",
    "why",
    "why-not",
    "simulate",
  ]) {
    const help = await run([command, "--help"]);
    t.equal(help.code, EXIT.ok, command);
    t.match(help.out, /Example/, command);
  }
});

t.test("a wrong flag, command or kind is a usage error that says what was expected", async (t) => {
  t.match(await run(["aply"]), { code: EXIT.usage, notes: /unknown command 'aply'/ });
  t.match(await run(["get", "sites", "--bogus"]), { code: EXIT.usage, notes: /unknown option '--bogus'/ });
  t.match(await run(["get", "websites"]), { code: EXIT.usage, notes: /there is no kind "websites"; kinds are Site/ });
  t.match(await run(["get", "sites"]), { code: EXIT.notAllowed, notes: /no token: give --token-file/ });
  t.match(await run(["why"], { PERIGEE_TOKEN: "x" }), { code: EXIT.usage, notes: /give a decision's id/ });
  t.match(await run(["why-not", "near"], { PERIGEE_TOKEN: "x" }), { code: EXIT.usage, notes: /give --session ID or/ });
});

t.test("apply names file and line of every fault and sends nothing", async (t) => {
  const api = await startApi(t, {});
  const folder = testFolder(t, { "bad.yaml": `${site.replace("[shop.localhost]", "[]")}  colour: red\n` });
  const result = await run(["--origin", api.url, "apply", "-f", join(folder, "bad.yaml")], { PERIGEE_TOKEN: "x" });
  t.equal(result.code, EXIT.usage);
  t.match(result.notes, /bad\.yaml:6: spec\.hostnames/);
  t.match(result.notes, /bad\.yaml:8: spec\.colour is not a known field/);
  t.equal(api.seen.length, 0);
  const broken = testFolder(t, { "broken.yaml": "a: [1\nb: 2\n" });
  t.match(await run(["apply", "-f", join(broken, "broken.yaml")]), {
    code: EXIT.usage,
    notes: /broken\.yaml:\d+: .*[^:\n]$/,
  });
});

t.test("a file that cannot be read is told by its name and the system's reason, without the call", async (t) => {
  const absent = join(testFolder(t), "absent");
  const told = (what: string) => ({ code: EXIT.usage, notes: `perigee: ${what}: no such file or directory` });
  const variables = { PERIGEE_TOKEN: "x" };
  t.match(await run(["apply", "-f", absent]), told(`${absent} cannot be read`));
  t.match(await run(["publish", absent, "--site", "shop"], variables), told(`${absent} cannot be read as a folder`));
  t.match(await run(["--token-file", absent, "get", "sites"]), told(`the token file ${absent} cannot be read`));
  const folder = testFolder(t);
  t.match(await run(["--context", folder, "get", "sites"]), { notes: `${folder} cannot be read: illegal operation` });
});

t.test("a file that holds no token is told by its name, and nothing of it is shown or sent", async (t) => {
  const folder = testFolder(t, { "README.md": "# Perigee – plan\n", empty: "\n", token: "abc.d-_=\n" });
  const api = await startApi(t, { "GET /v1/resources/Site": { status: 200, body: { items: [] } } });
  const get = (file: string) => run(["--origin", api.url, "--token-file", join(folder, file), "get", "sites"]);
  for (const file of ["README.md", "empty"]) {
    t.match(await get(file), {
      code: EXIT.usage,
      notes: `perigee: the token file ${join(folder, file)} holds no token: a token is one word`,
    });
  }
  t.equal(api.seen.length, 0);
  t.equal((await get("token")).code, EXIT.ok);
  t.match(await run(["get", "sites"], { PERIGEE_TOKEN: "two words" }), { notes: /PERIGEE_TOKEN holds no token/ });
});

t.test(
  "tombstone says of one name or of all of a kind that it is gone, and of nothing that needs no such word",
  async (t) => {
    const api = await startApi(t, { "POST *": { status: 200, body: {} } });
    const bury = (...words: string[]) => run(["--origin", api.url, "tombstone", ...words], { PERIGEE_TOKEN: "x" });
    t.match(await bury("sites", "old-shop"), { code: EXIT.ok, out: /Tombstone\/site\.old-shop of Site old-shop/ });
    t.match(await bury("site", "--all"), { code: EXIT.ok, out: /Tombstone\/site\.every\.name of Site \*/ });
    t.same(
      api.seen.map(({ body }) => JSON.parse(body.toString()).documents[0].spec),
      [
        { kind: "Site", name: "old-shop" },
        { kind: "Site", name: "*" },
      ],
    );
    for (const words of [["site"], ["site", "a", "--all"], ["purge", "a"], ["site", "No_Name"]]) {
      t.equal((await bury(...words)).code, EXIT.usage, words.join(" "));
    }
  },
);

t.test("apply sends every document with the token and prints what changed", async (t) => {
  const results = [{ kind: "Site", name: "shop", action: "created", resourceVersion: 7, changed: ["/spec"] }];
  const api = await startApi(t, {
    "POST /v1/apply?dryRun=false": { status: 200, body: { revision: 7, dryRun: false, results } },
  });
  const folder = testFolder(t, { "site.yaml": site });
  const result = await run(["--origin", api.url, "apply", "-f", folder], { PERIGEE_TOKEN: "secret" });
  t.equal(result.code, EXIT.ok, result.notes);
  t.match(result.out, /Site\/shop\s+created\s+7\s+\/spec/);
  t.equal(api.seen[0]?.authorization, "Bearer secret");
  t.match(JSON.parse(String(api.seen[0]?.body)), { documents: [{ kind: "Site" }] });
});

t.test("get shows of each kind what an operator looks for, with what is observed", async (t) => {
  const metadata = { name: "near-1", generation: 2, resourceVersion: 9 };
  const conditions = [{ type: "OfflineReady", status: false, reason: "ObjectsMissing" }];
  const observed = { appliedRevision: 8, contentUrl: "http://near-1.example", conditions };
  const node = {
    metadata,
    spec: { role: "edge", pool: "near", draining: true },
    status: { liveness: "cut-off", status: observed },
  };
  const relayed = {
    metadata: { ...metadata, name: "near-2" },
    spec: { role: "edge", pool: "near" },
    status: { liveness: "connected", linkUp: true, relayedBy: "near-3" },
  };
  const relay = {
    ...relayed,
    metadata: { ...metadata, name: "near-3" },
    status: { liveness: "connected", linkUp: true },
  };
  const served = [
    { node: "near-1", pool: "near", activeGeneration: 7 },
    { node: "far-1", pool: "far", activeGeneration: 6 },
  ];
  const site = {
    metadata: { ...metadata, name: "shop" },
    spec: { hostnames: ["a.example", "b.example"], publish: {} },
    status: { generation: 7, servedBy: served },
  };
  const policy = { metadata: { ...metadata, name: "eu" }, spec: {}, status: { appliedBy: 1, edges: 3 } };
  const api = await startApi(t, {
    "GET /v1/resources/Node": { status: 200, body: { revision: 9, items: [node, relayed, relay] } },
    "GET /v1/resources/Site/shop": { status: 200, body: site },
    "GET /v1/resources/PlacementPolicy": { status: 200, body: { items: [policy] } },
  });
  const get = async (...words: string[]) =>
    (await run(["--origin", api.url, "get", ...words], { PERIGEE_TOKEN: "x" })).out;
  t.match(
    await get("nodes"),
    /near-1 +2 +edge +near +cut-off,draining +8 +no: ObjectsMissing +http:\/\/near-1\.example/,
  );
  t.match(await get("nodes"), /near-2 +2 +edge +near +connected +by near-3/);
  t.match(await get("nodes"), /near-3 +2 +edge +near +connected +direct/);
  t.match(await get("site", "shop"), /shop +2 +a\.example,b\.example +release 7 +near 7, far 6/);
  t.match(await get("placementpolicies"), /eu +2 +0 +anybody +1 of 3 edges/);
  t.match(JSON.parse(await get("nodes", "-o", "json")), { items: [{ status: { liveness: "cut-off" } }] });
  t.equal(await get("nodes", "-o", "name"), "Node/near-1\nNode/near-2\nNode/near-3");
});

t.test("publish uploads only what the origin has not, each under its digest", async (t) => {
  const folder = testFolder(t, { "index.html": "<p>hello", img: { "a.svg": "<svg/>" } });
  const digest = (text: string) => createHash("sha256").update(text).digest("hex");
  const api = await startApi(t, {
    "POST /v1/sites/shop/missing-blobs": { status: 200, body: { digests: [digest("<svg/>")] } },
    [`PUT /v1/sites/shop/blobs/${digest("<svg/>")}`]: { status: 201, body: {} },
    "POST /v1/sites/shop/releases": { status: 201, body: { generation: 3, revision: 9 } },
  });
  const result = await run(["--origin", api.url, "publish", folder, "--site", "shop"], { PERIGEE_TOKEN: "x" });
  t.match(result, { code: EXIT.ok, out: "shop: generation 3, 2 files, 1 uploaded, revision 9" });
  t.match(JSON.parse(String(api.seen.at(-1)?.body)), {
    files: {
      "/index.html": { digest: digest("<p>hello"), mediaType: "text/html; charset=utf-8" },
      "/img/a.svg": { digest: digest("<svg/>"), mediaType: "image/svg+xml" },
    },
  });
});

t.test("publish says when a release is served, where it is told", async (t) => {
  const folder = testFolder(t, { "index.html": "<p>hello" });
  const api = await startApi(t, {
    "POST /v1/sites/shop/missing-blobs": { status: 200, body: { digests: [] } },
    "POST /v1/sites/shop/releases": { status: 201, body: { generation: 3, revision: 9 } },
  });
  const publish = (...more: string[]) =>
    run(["--origin", api.url, "publish", folder, "--site", "shop", ...more], { PERIGEE_TOKEN: "x" });
  const sent = () => JSON.parse(String(api.seen.at(-1)?.body)).activateAtMs;
  t.match(await publish(), { code: EXIT.ok });
  t.equal(sent(), undefined);
  t.match(await publish("--activate-at", "2026-11-28T08:00"), { code: EXIT.ok });
  t.equal(sent(), Date.UTC(2026, 10, 28, 8));
  t.match(await publish("--activate-at", "tomorrow"), {
    code: EXIT.usage,
    notes: /--activate-at must be like 2026-11-01.*got tomorrow/,
  });
});

t.test("publish keeps compressed forms of what is worth it beside the files, unless told otherwise", async (t) => {
  const text = "Perigee serves content from near its users. ".repeat(100);
  const noise = Buffer.from(seededRandom(1).bytes(4096));
  const folder = testFolder(t, {
    "a.txt": text,
    "copy.txt": text,
    "small.txt": "small",
    "noise.txt": noise,
    "b.png": `${text}!`,
  });
  const taken = { status: 201, body: {} };
  const api = await startApi(t, {
    "POST /v1/sites/shop/missing-blobs": { status: 200, body: {} },
    "POST /v1/sites/shop/releases": { status: 201, body: { generation: 1, revision: 1 } },
    "PUT *": taken,
  });
  const publish = (...more: string[]) =>
    run(["--origin", api.url, "publish", folder, "--site", "shop", ...more], { PERIGEE_TOKEN: "x" });
  t.match(await publish(), { code: EXIT.ok, out: /5 files, 4 uploaded/ });
  const filesOf = () => JSON.parse(String(api.seen.at(-1)?.body)).files;
  const blobs = new Map(api.seen.filter(({ method }) => method === "PUT").map(({ url, body }) => [url, body]));
  const { encodings } = filesOf()["/a.txt"];
  const decoders = { br: brotliDecompressSync, zstd: zstdDecompressSync, gzip: gunzipSync };
  for (const [coding, decode] of Object.entries(decoders)) {
    const blob = blobs.get(`/v1/sites/shop/blobs/${encodings[coding].digest}`) ?? Buffer.alloc(0);
    t.equal(decode(blob).toString(), text, coding);
  }
  t.same(filesOf()["/copy.txt"].encodings, encodings);
  for (const path of ["/small.txt", "/noise.txt", "/b.png"]) t.notOk(filesOf()[path].encodings, path);
  t.equal(blobs.size, 7, "four contents, and three codings of one");
  await publish("--no-compress");
  t.notOk(filesOf()["/a.txt"].encodings);
});

t.test("each kind of refusal has its exit status and the server's own words", async (t) => {
  const api = await startApi(t, {
    "GET /v1/resources/Site/gone": { status: 404, body: { code: "not-found", detail: "there is no Site gone" } },
    "GET /v1/resources/Site/secret": {
      status: 403,
      body: { code: "permission-denied", detail: "the token lacks read" },
    },
    "DELETE /v1/resources/Site/busy": { status: 409, body: { code: "resource-conflict", detail: "changed meanwhile" } },
  });
  const variables = { PERIGEE_TOKEN: "x", PERIGEE_ORIGIN: api.url };
  t.match(await run(["get", "site", "gone"], variables), { code: EXIT.notFound, notes: /there is no Site gone/ });
  t.match(await run(["get", "site", "secret"], variables), { code: EXIT.notAllowed, notes: /lacks read/ });
  t.match(await run(["delete", "site", "busy"], variables), { code: EXIT.refused, notes: /changed meanwhile/ });
  const nobody = { PERIGEE_TOKEN: "x", PERIGEE_ORIGIN: "http://127.0.0.1:1" };
  t.match(await run(["get", "sites"], nobody), { code: EXIT.unreachable, notes: /cannot be reached/ });
});

t.test("what cannot be a one-machine start is refused before anything starts", async (t) => {
  for (const offset of ["-1", "1.5", "60000", "many"]) {
    t.match(await run(["dev", "--port-offset", offset]), {
      code: EXIT.usage,
      notes: new RegExp(`--port-offset must be 0\\.\\.50000, got "${offset}"`),
    });
  }
  t.match(await run(["machine", "status", "--data", testFolder(t)]), {
    code: EXIT.unreachable,
    notes: /no `perigee dev` runs with the folder/,
  });
  t.match(await run(["machine", "stop"]), { code: EXIT.usage, notes: /missing required argument 'program'/ });
  t.match(await run(["machine", "--help"]), { code: EXIT.ok, out: /perigee machine stop origin scheduler/ });
});

t.test("the VR page and its library are written to be published", async (t) => {
  const folder = testFolder(t);
  mkdirSync(join(folder, "page"));
  writeFileSync(join(folder, "page", "app.js"), "export function init() {}");
  t.match(await run(["vr-page", join(folder, "page")]), { code: EXIT.ok, out: /index\.html/, notes: /config\.json/ });
  t.ok(readdirSync(join(folder, "page")).includes("page.js"));
  t.equal(readFileSync(join(folder, "page", "app.js"), "utf8"), "export function init() {}", "an app is let alone");
  t.match(await run(["vr-page", join(folder, "page", "index.html")]), {
    code: EXIT.usage,
    notes: /index\.html cannot be written: file already exists/,
  });
  t.match(await run(["vr-page", "/proc/none/page"]), {
    code: EXIT.usage,
    notes: /\/proc\/none\/page cannot be written: no such file or directory/,
  });
  t.match(await run(["vr-page", join(folder, "library"), "--library-only"]), {
    code: EXIT.ok,
    out: /^perigee\.js \d+/,
  });
  t.same(readdirSync(join(folder, "library")).sort(), ["perigee.js", "perigee.js.map"]);
});

t.test("usage asks for the time and the site that are named, and prints a line a sum", async (t) => {
  const item = {
    ...{ site: "shop", fromMs: Date.UTC(2026, 10, 1), requests: 8, byCache: { hit: 5, stale: 1, "uri-miss": 2 } },
    ...{ byStatus: { "2xx": 7, "5xx": 1 }, sentBytes: 1234, upstreamBytes: 99, peerBytes: 0, originBytes: 0 },
  };
  const api = await startApi(t, { "GET *": { status: 200, body: { items: [item] } } });
  const usage = (...words: string[]) => run(["--origin", api.url, "usage", ...words], { PERIGEE_TOKEN: "x" });
  const shown = await usage("--site", "shop", "--per", "day", "--from", "2026-11-01", "--to", "2026-11-02T10:30");
  t.equal(shown.code, EXIT.ok);
  t.match(shown.out, /^FROM +SITE +REQUESTS +HIT +4XX +5XX +SENT +FROM UPSTREAM +FROM EDGES +FROM ORIGIN\n/);
  t.match(shown.out, /\n2026-11-01T00:00 +shop +8 +75\.0% +0 +1 +1234 +99 +0 +0$/);
  t.same(JSON.parse((await usage("-o", "json")).out), { items: [item] });
  t.match(await usage("--from", "yesterday"), { code: EXIT.usage, notes: /--from must be like 2026-11-01/ });
  t.match(await usage("--to", "2026-13-01"), { code: EXIT.usage });
  const [from, to] = [Date.UTC(2026, 10, 1), Date.UTC(2026, 10, 2, 10, 30)];
  t.same(
    api.seen.map(({ url }) => url),
    [`/v1/usage?per=day&site=shop&fromMs=${from}&toMs=${to}`, "/v1/usage?per=hour"],
  );
});

t.test("a token is printed alone, and beside it how long it is good for", async (t) => {
  const made = { token: "abc", id: "1", expiresAtMs: Date.UTC(2026, 11, 24) };
  const api = await startApi(t, { "POST *": { status: 201, body: made } });
  const token = (...words: string[]) => run(["--origin", api.url, ...words], { PERIGEE_TOKEN: "x" });
  const forApp = ["app-token", "--app", "hall", "--web-origin", "https://vr.example"];
  const printed = { code: EXIT.ok, out: /^abc$/, notes: /^expires 2026-12-24T00:00:00\.000Z$/ };
  t.match(await token(...forApp), printed);
  t.match(await token(...forApp, "--lifetime", "86400"), printed);
  const forOperator = ["operator-token", "--subject", "ci", "--scope", "read"];
  t.match(await token(...forOperator, "--lifetime", "3600"), printed);
  t.same(
    api.seen.map(({ body }) => JSON.parse(body.toString()).lifetimeSeconds),
    [2_592_000, 86_400, 3600],
  );
  t.match(await token("app-token", "--app", "hall", "--web-origin", "https://vr.example/"), {
    code: EXIT.usage,
    notes: /--web-origin must be scheme, host and port .* got "https:\/\/vr\.example\/"/,
  });
  for (const words of [forApp, forOperator])
    t.match(await token(...words, "--lifetime", "1 day"), { code: EXIT.usage, notes: /--lifetime must be a whole/ });
});
