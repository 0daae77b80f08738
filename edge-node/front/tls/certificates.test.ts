import { once } from "node:events";
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { type ConnectionOptions, connect, type SecureVersion, type TLSSocket } from "node:tls";
import t, { type Test } from "tap";
import type { Failure } from "#domain/failure.ts";
import { systemRandom } from "#platform/random.ts";
import { until } from "#test/simulation/until.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { createTestAuthority, type TestPair } from "#test/tls/certificates.ts";
import { CertificateFiles, type CertificateSource } from "./certificate-files.ts";
import { Certificates } from "./certificates.ts";
import { startTlsListener } from "./tls-listener.ts";

const NOW_MS = Date.UTC(2026, 10, 26);
const DAY_MS = 86_400_000;
const LOCAL = { host: "127.0.0.1", port: 0 };

interface Happened {
  readonly inForce: string[];
  readonly refused: Failure[];
  readonly removed: string[];
  readonly remainingSeconds: Map<string, number>;
  readonly handshakes: string[];
}

async function writePair(folder: string, name: string, pair: TestPair): Promise<CertificateSource> {
  const [certificateFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  await writeFile(certificateFile, pair.certificatePem);
  await writeFile(keyFile, pair.keyPem);
  return { kind: "pair", certificateFile, keyFile };
}

async function start(t: Test, sources: readonly CertificateSource[]) {
  const clock = new VirtualClock(NOW_MS);
  const happened: Happened = { inForce: [], refused: [], removed: [], remainingSeconds: new Map(), handshakes: [] };
  const events = {
    certificateInForce: (_source: string, { names }: { names: readonly string[] }) =>
      void happened.inForce.push(...names),
    certificateRefused: (_source: string, failure: Failure) => void happened.refused.push(failure),
    certificateRemoved: (source: string) => void happened.removed.push(source),
    certificateRemaining: (source: string, seconds: number) => void happened.remainingSeconds.set(source, seconds),
    handshakeDone: (protocol: string, isResumed: boolean) =>
      void happened.handshakes.push(`${protocol}${isResumed ? " resumed" : ""}`),
    handshakeFailed: (reason: string) => void happened.handshakes.push(reason),
    ...{ h2Refused: () => {}, connectionRefused: () => {}, malformed: () => {} },
  };
  const certificates = new Certificates({ clock, events });
  const files = new CertificateFiles({ sources, certificates, clock });
  const failures = await files.loaded;
  const http = createServer((_request, response) => response.end("hello"));
  const listener = await startTlsListener({
    address: LOCAL,
    certificates,
    serveHttp1: (socket) => http.emit("connection", socket),
    handle: (_incoming, response) => void response.end("hello"),
    events,
    clock,
    random: systemRandom,
  });
  t.teardown(async () => {
    await listener[Symbol.asyncDispose]();
    await files[Symbol.asyncDispose]();
  });
  return { clock, happened, files, failures, port: listener.address.port };
}

function open(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options }, () => resolve(socket));
    socket.once("error", reject);
  });
}

/** The serial number of the certificate that is shown for a server name. */
async function shown(port: number, servername?: string): Promise<string> {
  const socket = await open(port, servername === undefined ? {} : { servername });
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return `${subject.CN}`;
}

/** Asks once over a connection of its own; the certificate's serial number and the content. */
async function ask(port: number, ca: string, servername: string): Promise<string> {
  const socket = await open(port, { servername, ca, rejectUnauthorized: true });
  const { serialNumber } = socket.getPeerCertificate();
  socket.setEncoding("utf8").write(`GET / HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`);
  let answer = "";
  for await (const chunk of socket) answer += chunk;
  return `${serialNumber} ${/^HTTP\/1\.1 200 /.test(answer) && answer.endsWith("hello")}`;
}

t.test("the certificate is the one for the server name: exact, then wildcard, then the first", async (t) => {
  const authority = await createTestAuthority(NOW_MS);
  const folder = testFolder(t);
  const sources = [
    await writePair(folder, "first", await authority.issue(["first.example"])),
    await writePair(folder, "wild", await authority.issue(["*.shop.example"])),
    await writePair(folder, "exact", await authority.issue(["www.shop.example"])),
  ];
  const { port, failures, happened } = await start(t, sources);
  t.same(failures, []);
  t.same(
    [...happened.remainingSeconds.values()],
    sources.map(() => (90 * DAY_MS) / 1000),
  );
  t.equal(await shown(port, "www.shop.example"), "www.shop.example");
  t.equal(await shown(port, "WWW.Shop.Example"), "www.shop.example");
  t.equal(await shown(port, "img.shop.example"), "*.shop.example");
  t.equal(await shown(port, "a.img.shop.example"), "first.example", "a wildcard is for one label");
  t.equal(await shown(port, "shop.example"), "first.example");
  t.equal(await shown(port, "other.example"), "first.example");
  t.equal(await shown(port), "first.example", "a client that names none");
});

t.test("a pair that changes under load is taken without a request that fails, and a bad one is not", async (t) => {
  const authority = await createTestAuthority(NOW_MS);
  const folder = testFolder(t);
  const old = await authority.issue(["a.example"]);
  const source = await writePair(folder, "a", old);
  const { clock, port, happened } = await start(t, [source]);
  const serials = new Set<string>();
  let isOver = false;
  let answered = 0;
  const visitors = Array.from({ length: 4 }, async () => {
    while (!isOver) {
      const [serial = "", isWhole] = (await ask(port, authority.authorityPem, "a.example")).split(" ");
      if (isWhole !== "true") throw new Error("an answer was cut");
      serials.add(serial);
      answered += 1;
    }
  });
  const more = async (count: number) => {
    const target = answered + count;
    await until(() => answered >= target, `${count} more requests were answered`);
  };
  await more(10);
  const stranger = await authority.issue(["a.example"]);
  await writeFile(join(folder, "a.key"), stranger.keyPem);
  await clock.advance(10_000);
  await until(() => happened.refused.length === 1, "the key alone is refused");
  t.match(happened.refused[0]?.message, /a\.crt: the key is not the one of the certificate/);
  await more(10);
  t.equal(serials.size, 1, "the old one is still served");
  await clock.advance(60_000);
  t.equal(happened.refused.length, 1, "told once");
  await writeFile(join(folder, "a.crt"), stranger.certificatePem);
  await clock.advance(10_000);
  await until(() => happened.inForce.length === 2, "the new pair is taken");
  await more(10);
  t.equal(serials.size, 2);
  for (const [name, pair, why] of [
    ["expired", await authority.issue(["a.example"], { lifetimeMs: 5_000 }), /it expired at/],
    ["of tomorrow", await authority.issue(["a.example"], { startMs: NOW_MS + DAY_MS }), /it is valid only from/],
    ["torn", { ...stranger, certificatePem: stranger.certificatePem.slice(0, 300) }, /1 to 8 certificates/],
    ["no key", { ...stranger, keyPem: "hello" }, /the key cannot be read/],
    [
      "in the wrong order",
      { ...stranger, certificatePem: stranger.certificatePem + old.certificatePem },
      /did not issue/,
    ],
  ] as const) {
    await writePair(folder, "a", pair);
    const before = happened.refused.length;
    await clock.advance(10_000);
    await until(() => happened.refused.length > before, `${name} is refused`);
    const last = happened.refused.at(-1)?.message ?? "";
    t.match(last, why, name);
  }
  await more(10);
  isOver = true;
  await Promise.all(visitors);
  t.equal(serials.size, 2, "none of the bad ones was ever shown");
  t.equal(happened.inForce.length, 2);
});

t.test("a folder's pairs are found, also behind links, and new ones taken while it runs", async (t) => {
  const authority = await createTestAuthority(NOW_MS);
  const folder = testFolder(t);
  for (const [version, name] of [
    ["v1", "one.example"],
    ["v2", "two.example"],
  ] as const) {
    await mkdir(join(folder, ".versions", version), { recursive: true });
    const pair = await authority.issue([name]);
    await writeFile(join(folder, ".versions", version, "fullchain.pem"), pair.certificatePem);
    await writeFile(join(folder, ".versions", version, "privkey.pem"), pair.keyPem);
  }
  await symlink(join(folder, ".versions", "v1"), join(folder, "live"));
  await writeFile(join(folder, "readme.txt"), "no certificate");
  const { clock, port, files, happened } = await start(t, [{ kind: "folder", folder }]);
  t.equal(await shown(port), "one.example");
  await symlink(join(folder, ".versions", "v2"), join(folder, "live.new"));
  await rename(join(folder, "live.new"), join(folder, "live"));
  await clock.advance(10_000);
  await until(() => happened.inForce.length === 2, "the link's new target is taken");
  t.equal(await shown(port), "two.example");
  await writePair(folder, "three", await authority.issue(["three.example"]));
  await clock.advance(10_000);
  await until(() => happened.inForce.length === 3, "the new pair is taken");
  t.equal(await shown(port, "three.example"), "three.example");
  await rm(join(folder, "three.key"));
  await clock.advance(60_000);
  t.equal(await shown(port, "three.example"), "three.example", "a missing file alone ends nothing");
  await files.reload();
  t.equal(await shown(port, "three.example"), "two.example", "told to reload, it is no longer served");
  t.equal(happened.removed.length, 1);
});

t.test("a reload takes what has changed at once", async (t) => {
  const authority = await createTestAuthority(NOW_MS);
  const folder = testFolder(t);
  const source = await writePair(folder, "a", await authority.issue(["a.example"]));
  const { files, port } = await start(t, [source]);
  await writePair(folder, "a", await authority.issue(["b.example"]));
  t.same(await files.reload(), []);
  t.equal(await shown(port), "b.example");
  await writeFile(join(folder, "a.crt"), "");
  t.match(await files.reload(), [{ code: "certificate-invalid" }]);
  t.equal(await shown(port), "b.example");
});

t.test("sessions are resumed, also after a reload, and not once the ticket key was changed", async (t) => {
  const authority = await createTestAuthority(NOW_MS);
  const folder = testFolder(t);
  const source = await writePair(folder, "a", await authority.issue(["a.example"]));
  const { clock, files, happened, port } = await start(t, [source]);
  for (const maxVersion of ["TLSv1.3", "TLSv1.2"] as const) {
    const first = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, servername: "a.example", maxVersion });
    const sessions: Buffer[] = [];
    first.on("session", (session) => void sessions.push(session)).resume();
    await until(() => sessions.length > 0, "a ticket came");
    const session = sessions[0];
    t.ok(session, "a session");
    const resumed = async () => {
      const socket = await open(port, { servername: "a.example", maxVersion, ...(session && { session }) });
      const isReused = socket.isSessionReused();
      socket.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
      await once(socket, "data");
      socket.destroy();
      return isReused;
    };
    t.equal(await resumed(), true, `${maxVersion} is resumed`);
    await files.reload();
    t.equal(await resumed(), true, `${maxVersion} is resumed after a reload`);
    await clock.advance(12 * 3_600_000);
    t.equal(await resumed(), false, `${maxVersion} is not resumed by a key that is gone`);
    first.destroy();
  }
  t.ok(happened.handshakes.includes("http/1.1 resumed"));
});

t.test("old versions and weak suites come to nothing, and are counted", async (t) => {
  const authority = await createTestAuthority(NOW_MS);
  const folder = testFolder(t);
  const { port, happened } = await start(t, [await writePair(folder, "a", await authority.issue(["a.example"]))]);
  await t.rejects(open(port, { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "ALL@SECLEVEL=0" }));
  await t.rejects(open(port, { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA" }));
  await until(() => happened.handshakes.length === 2, "both were counted");
  t.same(happened.handshakes.sort(), ["no-certificate", "protocol"]);
});

t.test("AES of 128 bits comes first; a client that puts ChaCha20 first gets that", async (t) => {
  const authority = await createTestAuthority(NOW_MS);
  const { port } = await start(t, [await writePair(testFolder(t), "a", await authority.issue(["a.example"]))]);
  const agreed = async (maxVersion: SecureVersion, ...ciphers: readonly string[]) => {
    const socket = await open(port, { maxVersion, ciphers: ciphers.join(":") });
    const { standardName } = socket.getCipher();
    socket.destroy();
    return standardName;
  };
  const [strong, fast, chacha] = ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"];
  t.equal(await agreed("TLSv1.3", strong, chacha, fast), fast);
  t.equal(await agreed("TLSv1.3", chacha, strong, fast), chacha);
  t.equal(await agreed("TLSv1.3", strong), strong);
  const [strong2, fast2] = ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"];
  t.equal(await agreed("TLSv1.2", strong2, fast2), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
  t.equal(
    await agreed("TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305", fast2),
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
  );
});
