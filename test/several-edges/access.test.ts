/** Signed URLs and client rates as a Site says them, at real edges of a real origin. */
import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";
import t from "tap";
import { parse } from "yaml";
import { runCommandLine } from "#cli/program.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  api,
  document,
  get,
  hasBody,
  joinSettings,
  publish,
  startCloud,
  startEdgeHere,
  untilAnswer,
} from "../edge-origin/edge-and-origin.ts";

async function perigee(...words: readonly string[]): Promise<string> {
  const lines: string[] = [];
  const { signal } = new AbortController();
  const code = await runCommandLine(words, {
    output: { line: (text) => lines.push(text), note: (text) => lines.push(text) },
    environment: { variables: {}, folder: "/nowhere" },
    signal,
    killSignal: signal,
  });
  if (code !== 0) throw new Error(`perigee ${words.join(" ")}: ${lines.join("\n")}`);
  return lines.join("\n");
}

interface PublicKey {
  readonly keyId: string;
  readonly publicKey: string;
}

async function makeKey(id: string, file: string): Promise<PublicKey> {
  const printed: { signedUrls: { keys: PublicKey[] } } = parse(await perigee("signing-key", id, "--key-file", file));
  const [key] = printed.signedUrls.keys;
  if (key === undefined) throw new Error("a key is printed");
  return key;
}

const pathOf = (url: string) => url.slice("http://films.example".length);

t.test("what a Site's key signs is open at every edge, pulled or published, and keys take over live", async (t) => {
  const folder = testFolder(t);
  const seen: IncomingMessage[] = [];
  const upstream = createServer((incoming, response) => {
    seen.push(incoming);
    response.writeHead(200, { "cache-control": "max-age=600" }).end(`of ${incoming.url}`);
  });
  const { port } = await listen(upstream, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(upstream));
  const file = join(folder, "keys.yaml");
  const old = await makeKey("old", file);
  const cloud = await startCloud(t, join(folder, "origin"));
  const apply = (keys: readonly PublicKey[], name: string, content: object) => {
    const spec = { hostnames: [`${name}.example`], ...content, signedUrls: { keys, paths: ["/kept/*"] } };
    return api(cloud, "POST", "/v1/apply", { documents: [document("Site", name, spec)] });
  };
  const pull = { pull: { upstream: `http://127.0.0.1:${port}` } };
  await apply([old], "films", pull);
  await apply([old], "shop", { publish: {} });
  await publish(cloud, "shop", { "/kept/a": "kept", "/open": "open" });
  const edges = [
    await startEdgeHere(t, await joinSettings(cloud, folder, "near-1")),
    await startEdgeHere(t, await joinSettings(cloud, folder, "near-2")),
  ];
  const sign = async (path: string, ...more: string[]) =>
    pathOf(await perigee("sign-url", `http://films.example${path}`, "--key-file", file, ...more));
  const film = await sign("/kept/a?x=1", "--site", "films");
  const page = await sign("/kept/a", "--site", "shop");
  for (const [index, { addresses }] of edges.entries()) {
    const ask = (host: string, path: string) => get(addresses.content, path, { host });
    const name = `edge ${index + 1}`;
    await untilAnswer(() => ask("shop.example", "/open"), hasBody("open"), `${name} serves`);
    await untilAnswer(() => ask("films.example", film), hasBody("of /kept/a?x=1"), `${name} takes a signed URL`);
    t.match((await ask("films.example", film)).headers["cache-status"], "hit", name);
    t.equal((await ask("films.example", "/kept/a?x=1")).status, 403, name);
    t.equal((await ask("films.example", film.replace("x=1", "x=2"))).status, 403, name);
    t.equal((await ask("shop.example", film)).status, 403, `${name}: of another site`);
    t.match((await ask("shop.example", page)).body.toString(), "kept", name);
    t.equal((await ask("shop.example", "/kept/a")).status, 403, name);
    t.equal((await ask("shop.example", "/%6bept%2Fa")).status, 403, name);
  }
  t.ok(
    seen.every(({ url }) => url === "/kept/a?x=1"),
    "no signature reaches the upstream",
  );

  const young = await makeKey("young", file);
  const [first] = edges;
  if (first === undefined) throw new Error("an edge");
  const ask = (path: string) => get(first.addresses.content, path, { host: "films.example" });
  const newest = await sign("/kept/b", "--site", "films");
  t.equal((await ask(newest)).status, 403, "the Site does not have it yet");
  await apply([old, young], "films", pull);
  await untilAnswer(() => ask(newest), hasBody("of /kept/b"), "the new key's");
  t.equal((await ask(film)).status, 200, "the old key's are still good");
  await apply([young], "films", pull);
  await untilAnswer(
    () => ask(film),
    ({ status }) => status === 403,
    "the old key is gone",
  );
  t.equal((await ask(newest)).status, 200);
});

t.test("each edge holds each client to the rate that the Site says", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  const slow = { hostnames: ["shop.example"], publish: {}, rateLimit: { requestsPerSecond: 0.01, burst: 3 } };
  await api(cloud, "POST", "/v1/apply", { documents: [document("Site", "shop", { ...slow, rateLimit: undefined })] });
  await publish(cloud, "shop", { "/open": "open" });
  const joined = await joinSettings(cloud, folder, "near-1");
  const trustedProxies = { networks: ["127.0.0.0/8"] };
  const edge = await startEdgeHere(t, { ...joined, settings: { ...joined.settings, trustedProxies } });
  const from = (client: string) => get(edge.addresses.content, "/open", { headers: { "x-forwarded-for": client } });
  await untilAnswer(() => from("203.0.113.1"), hasBody("open"), "served, however often it is asked");
  await api(cloud, "POST", "/v1/apply", { documents: [document("Site", "shop", slow)] });
  const over = await untilAnswer(
    () => from("203.0.113.1"),
    ({ status }) => status === 429,
    "the limit is applied",
  );
  t.match(over.headers, { "retry-after": /^\d+$/, ratelimit: /r=0/, "ratelimit-policy": '"client";q=3;w=300' });
  const statuses = [];
  for (const _ of [1, 2, 3, 4]) statuses.push((await from("203.0.113.2")).status);
  t.same(statuses, [200, 200, 200, 429]);
});
