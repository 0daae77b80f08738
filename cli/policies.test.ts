import { createServer } from "node:http";
import { join } from "node:path";
import t, { type Test } from "tap";
import { closeServer, listen } from "#platform/http/listening.ts";
import { testFolder } from "#test/test-folder.ts";
import { EXIT } from "./exit-codes.ts";
import { runCommandLine } from "./program.ts";

/** A real HTTP server that keeps the bodies it was sent and answers by method and path. */
async function startApi(t: Test, answers: Readonly<Record<string, unknown>>, refusals: typeof answers = {}) {
  const bodies: unknown[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const text = Buffer.concat(chunks).toString();
    if (text !== "") bodies.push(JSON.parse(text));
    const answer = answers[`${request.method} ${request.url}`];
    const refusal = refusals[`${request.method} ${request.url}`];
    const status = refusal === undefined ? 404 : 409;
    response.writeHead(answer === undefined ? status : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(answer ?? refusal ?? { code: "not-found", detail: `nothing at ${request.url}` }));
  });
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(server));
  const run = async (...words: readonly string[]) => {
    const out: string[] = [];
    const notes: string[] = [];
    const code = await runCommandLine(["--origin", `http://127.0.0.1:${port}`, ...words], {
      output: { line: (line) => out.push(line), note: (note) => notes.push(note) },
      environment: { variables: { HOME: "/nowhere", PERIGEE_TOKEN: "x" }, folder: "/nowhere" },
      signal: new AbortController().signal,
      killSignal: new AbortController().signal,
    });
    return { code, out: out.join("\n"), notes: notes.join("\n") };
  };
  return { run, bodies };
}

const policy = (name: string, spec: object) => ({
  ...{ apiVersion: "perigee.dev/v1", kind: "PlacementPolicy", metadata: { name, labels: {}, generation: 1 } },
  spec: { apps: ["hall"], stickinessMs: 2, ...spec },
});

const named = (...names: readonly string[]) => ({ items: names.map((name) => ({ metadata: { name } })) });

t.test("policy match says which policies match, in order, why the first applies and why others do not", async (t) => {
  const items = [
    policy("everybody", {}),
    policy("germany", { match: { countries: ["DE"] } }),
    policy("campus", { match: { cidrs: ["192.0.2.0/24"] } }),
    policy("carrier", { match: { expression: "client.asn == 64500" } }),
    policy("other", { apps: ["else"] }),
  ];
  const { run } = await startApi(t, {
    "GET /v1/resources/PlacementPolicy": { items },
    "GET /v1/resources/RenderApp": named("hall", "none"),
  });
  const hall = ["policy", "match", "--app", "hall"];
  const matched = await run(...hall, "--country", "DE", "--address", "192.0.2.7");
  t.equal(matched.code, EXIT.ok, matched.notes);
  t.match(matched.out, /^campus applies, whole, before germany: it matches by cidrs\n/);
  t.match(matched.out, /1 +campus +0 +cidrs\n2 +germany +0 +countries\n3 +everybody +0 +anybody/);
  t.match(matched.out, /carrier does not match: match\.expression does not hold/);
  t.notMatch(matched.out, /other/);
  t.match(
    (await run(...hall, "--asn", "64500")).out,
    /^carrier applies, whole, before everybody: it matches by expression/,
  );
  t.equal((await run("policy", "match", "--app", "none")).out, "no placement policy matches: the defaults apply");
  t.match(await run("policy", "match", "--app", "hal"), {
    code: EXIT.notFound,
    notes: /there is no RenderApp hal: did you mean hall\?$/,
  });
  t.match(await run("policy", "match"), { code: EXIT.usage, notes: /give --app or --site/ });
  t.match(await run(...hall, "--address", "x"), { code: EXIT.usage, notes: /--address is no address/ });
  t.match((await run("get", "placementpolicies")).out, /campus +1 +hall +0 +cidrs/);
});

t.test("policy match says what a site's content policies come to, and who says what", async (t) => {
  const content = (name: string, spec: object) => ({
    ...{ apiVersion: "perigee.dev/v1", kind: "ContentPolicy", metadata: { name, labels: {}, generation: 1 } },
    spec: { sites: ["shop"], prefetch: "all", ...spec },
  });
  const windows = [{ days: ["sat", "sun"], from: "01:00", to: "05:00", timeZone: "Europe/Lisbon" }];
  const items = [
    content("twice", { replicas: 2 }),
    content("thrice", { replicas: 3, prefetch: { windows } }),
    content("other", { sites: ["wiki"], prefetch: "none" }),
  ];
  const { run } = await startApi(t, {
    "GET /v1/resources/PlacementPolicy": { items: [] },
    "GET /v1/resources/ContentPolicy": { items },
    "GET /v1/resources/Site": named("shop", "news", "wiki"),
  });
  const shop = await run("policy", "match", "--site", "shop");
  t.equal(shop.code, EXIT.ok, shop.notes);
  t.match(
    shop.out,
    /^no placement policy matches[^\n]*\ncontent of shop, by twice, thrice: of each field the strictest\n/,
  );
  t.match(shop.out, /replicas +2 +twice\nprefetch +sat,sun 01:00–05:00 Europe\/Lisbon +thrice/);
  t.match(shop.out, /copies that nobody has asked for begin: (now|from \d{4}-.*Z)/);
  t.match((await run("policy", "match", "--site", "news")).out, /no content policy names news: every pool holds it/);
  t.match((await run("policy", "match", "--site", "wiki")).out, /begin: never/);
  t.match(await run("policy", "match", "--site", "nothing-like-it"), {
    code: EXIT.notFound,
    notes: /there is no Site nothing-like-it: perigee get sites lists them$/,
  });
  t.match((await run("get", "contentpolicies")).out, /thrice +1 +shop +01:00–05:00[\s\S]*other +1 +wiki +none/);
});

t.test("revisions and rollback are of content policies too", async (t) => {
  const path = "/v1/resources/ContentPolicy/night";
  const content = (prefetch: unknown) => ({
    ...{ apiVersion: "perigee.dev/v1", kind: "ContentPolicy", metadata: { name: "night", labels: {}, generation: 1 } },
    spec: { sites: ["shop"], prefetch },
  });
  const windows = (from: string) => ({ windows: [{ from, to: "05:00" }] });
  const items = [
    { revision: 44, generation: 2, deleted: false, seenAtMs: 0, changed: ["/spec/prefetch/windows"] },
    { revision: 41, generation: 1, deleted: false, seenAtMs: 0, changed: ["/spec/prefetch"] },
  ];
  const results = [{ kind: "ContentPolicy", name: "night", action: "changed", resourceVersion: 45 }];
  const { run, bodies } = await startApi(t, {
    [`GET ${path}`]: content(windows("03:00")),
    [`GET ${path}/revisions`]: { items },
    [`GET ${path}/revisions/41`]: content(windows("01:00")),
    "POST /v1/apply?dryRun=false": { revision: 45, results },
  });
  t.match((await run("revisions", "contentpolicy", "night")).out, /44 +2 .* spec\.prefetch\.windows/);
  const differing = await run("diff", "contentpolicy", "night", "--revision", "41");
  t.match(differing.out, /spec\.prefetch\.windows.*01:00.* → .*03:00/);
  t.equal(
    (await run("rollback", "contentpolicy", "night", "--to", "41")).out,
    "night: revision 45 says what revision 41 said",
  );
  t.match(bodies, [{ documents: [{ kind: "ContentPolicy", spec: { prefetch: windows("01:00") } }] }]);
});

t.test("apply names file and line of a window that is wrong", async (t) => {
  const { run, bodies } = await startApi(t, {});
  const written = (window: string) => `apiVersion: perigee.dev/v1
kind: ContentPolicy
metadata: { name: night }
spec:
  sites: [shop]
  prefetch:
    windows:
      - { from: "22:00", to: "02:00" }
      - ${window}
`;
  const folder = testFolder(t, {
    "time.yaml": written('{ from: "1:00", to: "05:00" }'),
    "empty.yaml": written('{ from: "01:00", to: "01:00" }'),
    "zone.yaml": written('{ from: "01:00", to: "05:00", timeZone: Europe/Lisboa }'),
  });
  const faultOf = async (file: string) => (await run("apply", "--dry-run", "-f", join(folder, file))).notes;
  t.match(await faultOf("time.yaml"), /time\.yaml:9: spec\.prefetch\.windows\[1\]\.from must be a time .*"1:00"/);
  t.match(await faultOf("empty.yaml"), /empty\.yaml:9: spec\.prefetch\.windows\[1\] is empty/);
  t.match(await faultOf("zone.yaml"), /zone\.yaml:9: spec\.prefetch\.windows\[1\]\.timeZone must be a time zone/);
  t.equal(bodies.length, 0);
});

t.test("revisions, what differs between them, and going back to one if nobody has written since", async (t) => {
  const path = "/v1/resources/PlacementPolicy/eu";
  const items = [
    { revision: 44, generation: 2, deleted: false, seenAtMs: 86_400_000, changed: ["/spec/stickinessMs"] },
    { revision: 41, generation: 1, deleted: false, seenAtMs: 0, changed: ["/spec/apps", "/spec/stickinessMs"] },
  ];
  const results = [{ kind: "PlacementPolicy", name: "eu", action: "changed", resourceVersion: 45 }];
  const { run, bodies } = await startApi(t, {
    [`GET ${path}`]: policy("eu", { stickinessMs: 9 }),
    [`GET ${path}/revisions`]: { items },
    [`GET ${path}/revisions/41`]: policy("eu", {}),
    "POST /v1/apply?dryRun=false": { revision: 45, results },
  });
  const listed = await run("revisions", "placementpolicy", "eu");
  t.match(listed.out, /44 +2 +1970-01-02T00:00:00\.000Z +spec\.stickinessMs\n41 +1 .* spec\.apps spec\.stickinessMs/);
  t.equal((await run("diff", "placementpolicy", "eu", "--revision", "41")).out, "spec.stickinessMs: 2 → 9");
  t.equal((await run("diff", "placementpolicy", "eu", "--revision", "41", "--to", "41")).out, "nothing differs");
  t.match(await run("diff", "placementpolicy", "eu", "--revision", "x"), { code: EXIT.usage, notes: /whole number/ });
  const back = await run("rollback", "placementpolicy", "eu", "--to", "41");
  t.equal(back.out, "eu: revision 45 says what revision 41 said");
  t.match(bodies, [
    {
      documents: [
        { kind: "PlacementPolicy", metadata: { name: "eu", resourceVersion: 44 }, spec: { stickinessMs: 2 } },
      ],
    },
  ]);
});

t.test("apply names file and line of an expression's fault, and of what the origin only warns of", async (t) => {
  const warnings = [{ document: 0, pointer: "/spec/constraints/0/expression", message: "matches no pool of 3" }];
  const answer = { revision: 1, dryRun: true, results: [], warnings };
  const { run, bodies } = await startApi(t, { "POST /v1/apply?dryRun=true": answer });
  const written = (expression: string) => `apiVersion: perigee.dev/v1
kind: PlacementPolicy
metadata: { name: eu }
spec:
  apps: [hall]
  constraints:
    - expression: ${expression}
`;
  const folder = testFolder(t, {
    "bad.yaml": written("pool.regoin == 'eu'"),
    "good.yaml": written("pool.region == 'eu'"),
  });
  const bad = await run("apply", "--dry-run", "-f", join(folder, "bad.yaml"));
  t.match(bad, { code: EXIT.usage, notes: /bad\.yaml:7: spec\.constraints\[0\]\.expression No such key: regoin/ });
  t.equal(bodies.length, 0);
  const good = await run("apply", "--dry-run", "-f", join(folder, "good.yaml"));
  t.match(good, { code: EXIT.ok, notes: /good\.yaml:7: warning: matches no pool of 3/ });
});

t.test("what get prints is applied as it is, one or a list, and faults are told where they stand", async (t) => {
  const stored = (name: string, spec: object) => ({
    ...{ apiVersion: "perigee.dev/v1", kind: "PlacementPolicy", spec: { apps: ["hall"], ...spec } },
    metadata: { name, labels: {}, generation: 2, resourceVersion: 44, createdAtMs: 1 },
    status: { appliedBy: 1 },
  });
  const path = "/v1/resources/PlacementPolicy";
  const { run, bodies } = await startApi(t, {
    [`GET ${path}/eu`]: stored("eu", { capacityReserveRatio: 0 }),
    [`GET ${path}`]: { revision: 45, items: [stored("eu", {}), stored("us", { stickinessMs: 3 })] },
    "POST /v1/apply?dryRun=false": { revision: 45, results: [] },
  });
  const one = (await run("get", "placementpolicy", "eu", "-o", "yaml")).out;
  const all = (await run("get", "placementpolicies", "-o", "yaml")).out;
  const folder = testFolder(t, {
    "one.yaml": one.replace("capacityReserveRatio: 0", "capacityReserveRatio: 0\n  capacityReserve: { ratio: 0.2 }"),
    "all.yaml": all,
    "all.json": (await run("get", "placementpolicies", "-o", "json")).out,
    "bad.yaml": all
      .replace("stickinessMs: 3", "stickynessMs: 3")
      .replace("generation: 2", "generation: 2\n      uid: 7"),
  });
  const apply = async (file: string) => await run("apply", "-f", join(folder, file));
  const metadata = { labels: {}, resourceVersion: 44 };
  const written = (name: string, spec: object) => ({
    ...{ apiVersion: "perigee.dev/v1", kind: "PlacementPolicy", spec: { apps: ["hall"], ...spec } },
    metadata: { name, ...metadata },
  });
  for (const file of ["one.yaml", "all.yaml", "all.json"])
    t.match(await apply(file), { code: EXIT.ok, notes: "" }, file);
  const both = { documents: [written("eu", {}), written("us", { stickinessMs: 3 })] };
  t.same(bodies, [
    { documents: [written("eu", { capacityReserveRatio: 0, capacityReserve: { ratio: 0.2 } })] },
    both,
    both,
  ]);
  const lineOf = (text: string) => 2 + all.split("\n").findIndex((line) => line.includes(text));
  const { notes } = await apply("bad.yaml");
  t.match(notes, `bad.yaml:${lineOf("generation: 2")}: metadata.uid is not a known field`);
  t.match(
    notes,
    `bad.yaml:${lineOf("stickinessMs: 3")}: spec.stickynessMs is not a known field: did you mean stickiness`,
  );
});

t.test("a rollback that is refused says of what, and not which document it was", async (t) => {
  const path = "/v1/resources/PlacementPolicy/eu";
  const message = "at most 2 sessions may move, 9 do";
  const refusal = { code: "guard-rails-broken", detail: `document 0: ${message}`, faults: [{ document: 0, message }] };
  const { run } = await startApi(
    t,
    { [`GET ${path}/revisions`]: { items: [{ revision: 44 }] }, [`GET ${path}/revisions/41`]: policy("eu", {}) },
    { "POST /v1/apply?dryRun=false": refusal },
  );
  t.match(await run("rollback", "placementpolicy", "eu", "--to", "41"), {
    code: EXIT.refused,
    notes: `perigee: PlacementPolicy eu as of revision 41: ${message}`,
  });
});
