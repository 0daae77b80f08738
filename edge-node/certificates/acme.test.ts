import { readdir, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { connect, type PeerCertificate } from "node:tls";
import t, { type Test } from "tap";
import type { Failure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { freePort } from "#test/free-ports.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { findPebble, PEBBLE_MISSING, startPebble } from "#test/tls/pebble.ts";
import { Certificates } from "../front/tls/certificates.ts";
import { startTlsListener } from "../front/tls/tls-listener.ts";
import { startStandalone } from "../standalone-proxy.ts";
import { startAcme } from "./acme-certificates.ts";
import { HttpChallenges } from "./http-challenges.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const DAY_MS = 86_400_000;
/** Each is a handshake, some milliseconds. */
const TURNS_MAX = 10_000;
const program = findPebble();

function shown(port: number, servername: string): Promise<PeerCertificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...LOCAL, port, servername, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

/** An edge's plain listener and its TLS one, and the authority that validates at the former. */
async function start(t: Test, pebbleProgram: string) {
  const folder = testFolder(t, { pebble: {}, state: {} });
  const challenges = new HttpChallenges();
  let isReachable = true;
  const plain = createServer((incoming, response) => {
    if (isReachable && challenges.answer(incoming, response)) return;
    response.writeHead(404).end();
  });
  const { port: httpPort } = await listen(plain, LOCAL);
  t.teardown(() => closeServer(plain));
  const pebble = await startPebble({
    program: pebbleProgram,
    folder: join(folder, "pebble"),
    httpPort,
    nowMs: systemClock.nowMs(),
  });
  t.teardown(() => pebble[Symbol.asyncDispose]());
  const happened: string[] = [];
  const failures: Failure[] = [];
  const none = () => {};
  const events = {
    ...{ certificateInForce: none, certificateRemoved: none, certificateRemaining: none },
    ...{
      handshakeDone: none,
      handshakeFailed: none,
      h2Refused: none,
      connectionRefused: none,
      broke: none,
      malformed: none,
    },
    certificateRefused: (_source: string, failure: Failure) => void failures.push(failure),
    ordered: (name: string, because: string) => void happened.push(`${name} ${because}`),
    orderFailed: (name: string, failure: Failure) => {
      happened.push(`${name} failed`);
      failures.push(failure);
    },
  };
  const begin = async (clock: VirtualClock) => {
    const certificates = new Certificates({ clock, events });
    const { directoryUrl, trustedPem } = pebble;
    const names = ["a.example.com", "b.example.com"];
    const options = { directoryUrl, trustedPem, email: "someone@example.com", names, folder: join(folder, "state") };
    const keeper = await startAcme(options, { certificates, challenges, events, clock });
    const listener = await startTlsListener({
      address: LOCAL,
      certificates,
      serveHttp1: (socket) => plain.emit("connection", socket),
      handle: () => {},
      events,
      clock: systemClock,
      random: systemRandom,
    });
    const end = async () => {
      await listener[Symbol.asyncDispose]();
      await keeper[Symbol.asyncDispose]();
    };
    t.teardown(end);
    return { keeper, end, port: listener.address.port };
  };
  const reach = (isSo: boolean) => {
    isReachable = isSo;
  };
  return { begin, happened, failures, reach, folder: join(folder, "state") };
}

t.test(
  "certificates are ordered from a real ACME server, kept over a restart, renewed at two thirds of their life",
  { skip: program === undefined && PEBBLE_MISSING, timeout: 120_000 },
  async (t) => {
    const nowMs = systemClock.nowMs();
    const { begin, happened, failures, reach, folder } = await start(t, program ?? "");
    // Time stands still here, and what is issued is valid from when it is.
    const young = await begin(new VirtualClock(nowMs + DAY_MS));
    await young.keeper.lookNow();
    t.same([happened.splice(0), failures], [["a.example.com absent", "b.example.com absent"], []]);
    const first = await shown(young.port, "a.example.com");
    t.equal(first.subjectaltname, "DNS:a.example.com");
    t.equal((await shown(young.port, "b.example.com")).subjectaltname, "DNS:b.example.com");
    const files = await readdir(folder);
    t.same(files.sort(), ["a.example.com.pem", "account.key", "b.example.com.pem"]);
    for (const file of files) t.equal((await stat(join(folder, file))).mode & 0o777, 0o600, `${file} is its owner's`);
    await young.end();

    const again = await begin(new VirtualClock(nowMs + 50 * DAY_MS));
    await again.keeper.lookNow();
    t.same(happened, [], "after a restart nothing is ordered");
    t.equal((await shown(again.port, "a.example.com")).serialNumber, first.serialNumber);
    await again.end();

    reach(false);
    const clock = new VirtualClock(nowMs + 70 * DAY_MS);
    const old = await begin(clock);
    await old.keeper.lookNow();
    t.same(happened.splice(0), ["a.example.com failed", "b.example.com failed"]);
    t.match(failures[0], { code: "unavailable", retryable: true, message: /no certificate for a\.example\.com/ });
    t.equal((await shown(old.port, "a.example.com")).serialNumber, first.serialNumber, "what is valid stays");
    await old.keeper.lookNow();
    t.same(happened, [], "and it is not tried again at once");
    reach(true);
    for (let minutes = 0; minutes < 20 && !happened.includes("a.example.com due"); minutes += 1) {
      await clock.advance(60_000);
      await old.keeper.lookNow();
    }
    t.ok(happened.includes("a.example.com due"), "later it is");
    t.not((await shown(old.port, "a.example.com")).serialNumber, first.serialNumber);
  },
);

t.test(
  "the stand-alone edge answers for its names itself, in front of what its upstream says there",
  { skip: program === undefined && PEBBLE_MISSING, timeout: 120_000 },
  async (t) => {
    const folder = testFolder(t, { pebble: {}, state: {} });
    const port = await freePort();
    const pebble = await startPebble({
      program: program ?? "",
      folder: join(folder, "pebble"),
      httpPort: port,
      nowMs: systemClock.nowMs(),
    });
    t.teardown(() => pebble[Symbol.asyncDispose]());
    const upstream = createServer((_request, response) => response.end("the upstream's own"));
    const { port: upstreamPort } = await listen(upstream, LOCAL);
    t.teardown(() => closeServer(upstream));
    const { directoryUrl, trustedPem } = pebble;
    const edge = await startStandalone({
      listen: { ...LOCAL, port },
      tls: {
        listen: LOCAL,
        sources: [],
        acme: { directoryUrl, trustedPem, names: ["a.example.com"], folder: join(folder, "state") },
      },
      upstream: new URL(`http://127.0.0.1:${upstreamPort}`),
      memoryBytesMax: 1e6,
      random: systemRandom,
      clock: systemClock,
      logger: createLogger({ program: "edge", level: "silent" }),
    });
    t.teardown(() => edge[Symbol.asyncDispose]());
    const tlsPort = edge.tls?.address.port ?? 0;
    const namesShown = () =>
      shown(tlsPort, "a.example.com").then(
        ({ subjectaltname }) => subjectaltname,
        () => undefined,
      );
    let names = await namesShown();
    for (let turn = 0; turn < TURNS_MAX && names === undefined; turn += 1) names = await namesShown();
    t.equal(names, "DNS:a.example.com");
    const other = await fetch(`http://127.0.0.1:${port}/.well-known/acme-challenge/another`);
    t.equal(await other.text(), "the upstream's own", "a token of another authority's order");
  },
);
