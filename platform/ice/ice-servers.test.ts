/** What is handed out of configured servers: credentials of that user that run out, and never the secret. */
import { createHmac } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import Type from "typebox";
import { testFolder } from "#test/test-folder.ts";
import { loadConfig } from "../config/load.ts";
import { iceServersSchema, openIceServers } from "./ice-servers.ts";

const SECRET = "kept-to-itself";
const schema = Type.Object({ iceServers: iceServersSchema("servers") });
const load = (servers: unknown) => loadConfig(schema, { text: JSON.stringify({ iceServers: servers }) }).iceServers;

t.test("each user gets credentials of its own, by the secret and until their end", async (t) => {
  const secretFile = join(testFolder(t), "secret");
  await writeFile(secretFile, `${SECRET}\n`);
  const turn = { urls: ["turn:turn.example", "turns:turn.example"], secretFile };
  const servers = await openIceServers("iceServers", load([{ urls: ["stun:stun.example"] }, turn]));
  const handed = servers.forUser("s-1", 1_700_000_000_900);
  const username = "1700043200:s-1";
  const credential = createHmac("sha1", SECRET).update(username).digest("base64");
  t.same(handed, [{ urls: ["stun:stun.example"] }, { urls: turn.urls, username, credential }]);
  t.notMatch(JSON.stringify(handed), SECRET);
  t.not(JSON.stringify(servers.forUser("s-2", 1_700_000_000_900)), JSON.stringify(handed));
  const brief = await openIceServers("iceServers", load([{ ...turn, lifetimeSeconds: 60 }]));
  t.match(brief.forUser("s-1", 1_700_000_000_000), [{ username: "1700000060:s-1" }]);
  t.same((await openIceServers("iceServers", load([]))).forUser("s-1", 0), []);
});

t.test("a secret that cannot be used is said with its key and file", async (t) => {
  const folder = testFolder(t);
  const open = (secretFile: string) => openIceServers("media.iceServers", load([{ urls: ["turn:a"], secretFile }]));
  const key = /^media\.iceServers\[0\]\.secretFile: /;
  await t.rejects(open(join(folder, "none")), { code: "config-invalid", message: key });
  await t.rejects(open(join(folder, "none")), { message: /none cannot be read/ });
  for (const wrong of ["", "\n", "two words", "two\nlines"]) {
    const path = join(folder, "wrong");
    await writeFile(path, wrong);
    const rejected = { code: "config-invalid", message: /wrong must have one line with the secret/ };
    await t.rejects(open(path), rejected, JSON.stringify(wrong));
  }
});

t.test("what is configured wrongly is refused with its line, and what was expected there", async (t) => {
  const folder = testFolder(t);
  const file = join(folder, "config.yaml");
  const refused = async (lines: string, message: RegExp) => {
    await writeFile(file, `iceServers:\n${lines}`);
    t.throws(() => loadConfig(schema, { file }), { code: "config-invalid", message }, lines);
  };
  await refused('  - urls: ["http://a"]\n', /config\.yaml:2: iceServers\[0\]\.urls\[0\] must be stun:HOST/);
  await refused('  - urls: ["turn:a"]\n', /config\.yaml:2: .* \(turn:… has a secretFile beside its urls\)/);
  await refused('  - urls: ["stun:a"]\n    secretFile: s\n', /config\.yaml:2: .* must be turn:HOST/);
  await refused(
    '  - urls: ["turn:a"]\n    secretFile: s\n    lifetimeSeconds: 5\n',
    /config\.yaml:4: .*lifetimeSeconds/,
  );
  await refused("  - urls: []\n", /config\.yaml:2: /);
  await refused('  - {urls: ["stun:a"], secret: s}\n', /config\.yaml:2: .*secret/);
  await refused('  - urls: ["stun:a"]\n'.repeat(5), /config\.yaml:[12]: iceServers/);
});
