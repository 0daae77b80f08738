import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type ClientHttp2Session, connect as connectH2, type OutgoingHttpHeaders } from "node:http2";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import t, { type Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { RawConnection } from "#test/front/raw-connection.ts";
import { answerByPath, get, startBefore } from "#test/processes/several-processes.ts";
import { testFolder } from "#test/test-folder.ts";
import { createTestAuthority, type TestPair } from "#test/tls/certificates.ts";

const NAME = "edge";

async function start(t: Test) {
  const authority = await createTestAuthority(systemClock.nowMs());
  const folder = testFolder(t);
  const [certificateFile, keyFile] = [join(folder, "a.crt"), join(folder, "a.key")];
  const write = async ({ certificatePem, keyPem }: TestPair) => {
    await writeFile(certificateFile, certificatePem);
    await writeFile(keyFile, keyPem);
  };
  await write(await authority.issue([NAME]));
  const flags = ["--listen-tls", "127.0.0.1:0", "--certificate", certificateFile, "--key", keyFile];
  const { edge } = await startBefore(t, answerByPath, { count: 2, flags });
  const [front = 0] = edge.fronts();
  const open = async (pid: number, options: ConnectionOptions = {}): Promise<TLSSocket> => {
    const { socket } = await edge.openAt(pid, edge.tlsPort);
    socket.removeAllListeners();
    const secure = connect({ socket, ca: authority.authorityPem, servername: NAME, ...options });
    t.teardown(() => secure.destroy());
    // Either says goodbye to an edge that may have closed already.
    for (const one of [socket, secure]) one.on("error", () => {});
    await once(secure, "secureConnect");
    return secure;
  };
  const openH2 = async (pid: number) => {
    const socket = await open(pid, { ALPNProtocols: ["h2"] });
    const session = connectH2(`https://${NAME}`, { createConnection: () => socket });
    t.teardown(() => session.destroy());
    session.on("error", () => {});
    return session;
  };
  const renew = async () => {
    await write(await authority.issue([NAME]));
    process.kill(edge.main, "SIGHUP");
  };
  return { edge, front, open, openH2, renew };
}

async function askH2(session: ClientHttp2Session, fields: OutgoingHttpHeaders, content?: Buffer) {
  const request = session.request({ ":authority": NAME, ...fields }, { endStream: content === undefined });
  if (content !== undefined) request.end(content);
  const [answered] = await once(request, "response");
  const body = await buffer(request);
  const { date: _date, age: _age, "cache-status": cacheStatus, ...rest } = Object(answered);
  return { fields: rest, cacheStatus: String(cacheStatus), body };
}

t.test("HTTP/1.1 inside TLS is answered by copies, and else by the main process", async (t) => {
  const { edge, front, open } = await start(t);
  const connection = new RawConnection(await open(front));
  await edge.untilCopied(connection, "/stored");
  t.match(await get(connection, "/stored"), /\r\n\r\nGET \/stored $/);
  t.match(await get(connection, "/missed"), /\r\nGET \/missed /);
  t.match(await get(connection, "/stored"), /Perigee; hit/);
  const inTheClear = await edge.openAt(front);
  t.match(await get(inTheClear, "/stored"), /fwd=uri-miss/, "of another origin");
});

t.test("HTTP/2 through a front process is as at the main one", async (t) => {
  const { edge, front, openH2 } = await start(t);
  const [wanted, session] = [await openH2(edge.main), await openH2(front)];
  const content = Buffer.alloc(300_000, "content ");
  const asked: readonly [OutgoingHttpHeaders, Buffer?][] = [
    [{ ":path": "/stored" }],
    [{ ":path": "/stored", "if-none-match": '"one"' }],
    [{ ":path": "/stored", ":method": "HEAD" }],
    [{ ":path": "/missed" }],
    [{ ":path": "/x", ":method": "POST" }, content],
    [{ ":path": "/large" }],
  ];
  await askH2(wanted, { ":path": "/stored" });
  for (const [fields, sent] of asked) {
    const name = `${fields[":method"] ?? "GET"} ${fields[":path"]}`;
    const [one, other] = [await askH2(wanted, fields, sent), await askH2(session, fields, sent)];
    t.same(other.fields, one.fields, name);
    t.ok(other.body.equals(one.body), name);
    t.equal(other.cacheStatus.replace(/ttl=\d+/, ""), one.cacheStatus.replace(/ttl=\d+/, ""), name);
  }
  const many = await Promise.all(Array.from({ length: 50 }, () => askH2(session, { ":path": "/stored" })));
  for (const { body } of many) t.equal(body.toString(), "GET /stored ", "of many streams");
});

t.test("a session that one process began is resumed by another", async (t) => {
  const { edge, front, open } = await start(t);
  const ticketOf = async (pid: number) => {
    const secure = await open(pid);
    const told = once(secure, "session");
    await get(new RawConnection(secure), "/missed");
    const [session] = await told;
    return Buffer.from(session);
  };
  for (const [first, second] of [
    [edge.main, front],
    [front, edge.main],
  ] as const) {
    const resumed = await open(second, { session: await ticketOf(first) });
    t.ok(resumed.isSessionReused(), `begun at ${first}, resumed at ${second}`);
  }
  let counted = 0;
  for (let tries = 0; counted < 4 && tries < 2_000; tries += 1) counted = await edge.metric("tls_handshakes_total");
  t.equal(counted, 4);
});

t.test("a certificate that is renewed is served by every process", async (t) => {
  const { edge, front, open, renew } = await start(t);
  const fingerprintAt = async (pid: number) => (await open(pid)).getPeerCertificate().fingerprint256;
  const before = await fingerprintAt(front);
  t.equal(await fingerprintAt(edge.main), before);
  await renew();
  let now = before;
  for (let tries = 0; now === before && tries < 500; tries += 1) now = await fingerprintAt(front);
  t.not(now, before);
  t.equal(await fingerprintAt(edge.main), now);
});
