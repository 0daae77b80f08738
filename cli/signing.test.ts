import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { testFolder } from "#test/test-folder.ts";
import { EXIT } from "./exit-codes.ts";
import { runCommandLine } from "./program.ts";

async function run(...words: readonly string[]) {
  const out: string[] = [];
  const notes: string[] = [];
  const { signal } = new AbortController();
  const code = await runCommandLine(words, {
    output: { line: (text) => out.push(text), note: (text) => notes.push(text) },
    environment: { variables: {}, folder: "/nowhere" },
    signal,
    killSignal: signal,
  });
  return { code, out: out.join("\n"), notes: notes.join("\n") };
}

t.test("keys are added to a file for its owner only, and nothing secret is printed", async (t) => {
  const file = join(testFolder(t), "keys.yaml");
  const first = await run("signing-key", "spring", "--key-file", file);
  t.match(first, {
    code: EXIT.ok,
    out: /signedUrls:\n {2}keys:\n {4}- keyId: spring\n {6}publicKey: [A-Za-z0-9_-]{43}\n/,
  });
  t.equal(statSync(file).mode & 0o777, 0o600);
  const second = await run("signing-key", "shared", "--key-file", file, "--algorithm", "hmac-sha-256");
  t.match(second, { code: EXIT.ok, out: `perigee edge --signing-keys ${file}` });
  const text = readFileSync(file, "utf8");
  t.match(text, /keyId: spring.*PRIVATE KEY.*keyId: shared.*secret: /s, "the newest last");
  t.notMatch(first.out + second.out, /PRIVATE|secret: /);
  const again = await run("signing-key", "spring", "--key-file", file);
  t.match(again, { code: EXIT.usage, notes: /has a key spring: give the new one another id/ });
  t.equal(readFileSync(file, "utf8"), text);
});

t.test("what cannot be signed is told by option", async (t) => {
  const folder = testFolder(t, { "bad.yaml": "keys:\n  - keyId: a\n    algorithm: md5\n" });
  const file = join(folder, "keys.yaml");
  await run("signing-key", "spring", "--key-file", file);
  const sign = (...more: readonly string[]) => run("sign-url", ...more, "--key-file", file);
  t.match(await sign("https://a.test/x"), {
    code: EXIT.ok,
    out: /^https:\/\/a\.test\/x\?perigee-signature=1\.\d+\.spring\./,
  });
  t.match(await sign("https://a.test/x?a=1#part"), { out: /\/x\?a=1&perigee-signature=1[^#]+#part$/ });
  const cookie = await sign("https://a.test/films/1", "--prefix", "/films/", "--cookie", "--lifetime", "60");
  t.match(
    cookie.out,
    /^perigee-signature=1\.\d+\.spring\.\*2Ffilms\*2F\.\..+; Path=\/films\/; Max-Age=60; Secure; HttpOnly/,
  );
  const { out } = await sign("https://a.test/x");
  for (const [words, told] of [
    [["a.test/x"], /must be one of http or https, got "a\.test\/x"/],
    [["ftp://a.test/x"], /must be one of http or https/],
    [[out], /has a signature/],
    [["https://a.test/x", "--lifetime", "0"], /--lifetime must be 1 to/],
    [["https://a.test/x", "--lifetime", "1e3"], /--lifetime must be 1 to .* got "1e3"/],
    [["https://a.test/x", "--lifetime", String(400 * 86_400)], /--lifetime must be 1 to/],
    [["https://a.test/x", "--prefix", "/a/../b/"], /--prefix must be a path/],
    [["https://a.test/x", "--prefix", "/y/"], /is none of the URL's path/],
    [["https://a.test/x", "--prefix", `/${"x".repeat(2000)}`], /is none of the URL's path/],
    [[`https://a.test/${"x".repeat(2000)}`, "--prefix", `/${"x".repeat(2000)}`], /at most 1024 characters/],
    [["https://a.test/x", "--address", "here"], /--address must be an IP address, got "here"/],
    [["https://a.test/x", "--cookie"], /--cookie needs --prefix/],
    [["https://a.test/x", "--key", "autumn"], /has no key autumn/],
    [["https://a.test/x", "--site", "Films!"], /--site/],
  ] as const) {
    t.match(await sign(...words), { code: EXIT.usage, notes: told }, words.join(" ").slice(0, 80));
  }
  const bad = await run("sign-url", "https://a.test/x", "--key-file", join(folder, "bad.yaml"));
  t.match(bad, { code: EXIT.usage, notes: /bad\.yaml:\d+: / });
});

t.test("an edge is not started with rules that cannot be kept", async (t) => {
  const file = join(testFolder(t), "keys.yaml");
  await run("signing-key", "spring", "--key-file", file);
  const edge = ["edge", "--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:9"];
  for (const [words, told] of [
    [["--rate-limit", "many"], /--rate-limit must be requests a second or minute/],
    [["--rate-limit", "0/s"], /--rate-limit must be/],
    [["--rate-limit", "10/s:0"], /--rate-limit must be/],
    [["--signed-path", "/a"], /--signed-path needs --signing-keys/],
    [["--signing-keys", file, "--signed-path", "/a/../b"], /--signed-path must be written as in a URL/],
    [["--signing-keys", "/nowhere/keys.yaml"], /cannot be read/],
    [["--trusted-proxy", "10.0.0.0/40"], /trusted proxies must be/],
  ] as const) {
    const result = await run(...edge, ...words);
    t.match(result.notes, told, words.join(" "));
    t.not(result.code, EXIT.ok, words.join(" "));
  }
});
