import { createSecureServer, type Settings } from "node:http2";
import { create } from "@bufbuild/protobuf";
import t, { type Test } from "tap";
import { Enrolment } from "#contracts/generated/perigee/v1/enrolment_pb.js";
import { BlobChunkSchema, SiteControl } from "#contracts/generated/perigee/v1/site_pb.js";
import { Failure, isFailure } from "#domain/failure.ts";
import { systemClock } from "../clock.ts";
import { listen } from "../http/listening.ts";
import { type Authority, createAuthority, createCertificateRequest, issueCertificate } from "../identity/authority.ts";
import { formatPemChain } from "../identity/certificates.ts";
import { type PeerIdentity, serverNameOf } from "../identity/peer.ts";
import { exportPrivateKey, generateSigningKey } from "../identity/signatures.ts";
import { systemRandom } from "../random.ts";
import { type ClientTls, createGrpcClient, RECEIVE_WINDOW_BYTES_MAX } from "./client.ts";
import { type Implementation, type ServerTls, serviceOf, startGrpcServer } from "./server.ts";

const options = { clock: systemClock, random: systemRandom, lifetimeMs: 3_600_000 };
const edge: PeerIdentity = { role: "edge", pool: "near", name: "near-1" };
const agent: PeerIdentity = { role: "agent", pool: "near", name: "gpu-1" };

async function pairFor(authority: Authority, identity: PeerIdentity, lifetimeMs = options.lifetimeMs) {
  const key = generateSigningKey();
  const certificate = await issueCertificate(authority, await createCertificateRequest(key), identity, {
    ...options,
    lifetimeMs,
  });
  return { keyPem: exportPrivateKey(key), chainPem: formatPemChain([certificate]) };
}

async function serve(
  t: Test,
  authority: Authority,
  implementation: Partial<Implementation<typeof SiteControl>>,
  onFailed: (error: unknown) => void = () => undefined,
) {
  const authoritiesPem = formatPemChain([authority.certificate]);
  const tls: ServerTls = { ...(await pairFor(authority, edge)), authoritiesPem, clientCertificate: "required" };
  const whole: Implementation<typeof SiteControl> = {
    connect: async function* () {},
    fetchBlob: async function* () {},
    ...implementation,
  };
  const server = await startGrpcServer({
    listen: { host: "127.0.0.1", port: 0 },
    tls,
    services: [serviceOf(SiteControl, whole)],
    clock: systemClock,
    onFailed,
  });
  t.teardown(() => server[Symbol.asyncDispose]());
  return server.address;
}

async function connect(
  t: Test,
  authority: Authority,
  address: { host: string; port: number },
  changes: Partial<ClientTls> = {},
) {
  const tls = {
    authoritiesPem: formatPemChain([authority.certificate]),
    own: await pairFor(authority, agent),
    serverName: serverNameOf(edge),
    ...changes,
  };
  const client = createGrpcClient(SiteControl, { address, tls });
  t.teardown(() => client[Symbol.dispose]());
  return client;
}

const limits = () => ({ signal: AbortSignal.timeout(10_000) });

async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const message of messages) all.push(message);
  return all;
}

async function codeOf(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
    return "none";
  } catch (error) {
    return isFailure(error) ? error.code : String(error);
  }
}

t.test("a stream carries messages both ways, and the server knows its peer", async (t) => {
  const authority = await createAuthority("test", options);
  const peers: (PeerIdentity | undefined)[] = [];
  const address = await serve(t, authority, {
    connect: async function* (requests, call) {
      peers.push(call.peer);
      for await (const { message } of requests) {
        if (message.case === "pong") yield { message: { case: "ping", value: { nonce: message.value.nonce + 1n } } };
      }
    },
  });
  const client = await connect(t, authority, address);
  async function* pongs() {
    for (const nonce of [1n, 2n, 3n]) yield { message: { case: "pong" as const, value: { nonce } } };
  }
  const answers = await collect(client.connect(pongs(), limits()));
  t.strictSame(
    answers.map(({ message }) => (message.case === "ping" ? message.value.nonce : undefined)),
    [2n, 3n, 4n],
  );
  t.match(peers, [{ ...agent, serial: /^01[0-9a-f]{32}$/ }]);
});

t.test("a stream of chunks arrives whole, and a Failure arrives as itself", async (t) => {
  const authority = await createAuthority("test", options);
  const chunk = create(BlobChunkSchema, { totalBytes: 300n, data: new Uint8Array(100).fill(7) });
  const address = await serve(t, authority, {
    fetchBlob: async function* (request) {
      if (request.digest === "none") throw new Failure("not-found", "there is no blob none", { retryable: true });
      for (let part = 0; part < 3; part++) yield chunk;
    },
  });
  const client = await connect(t, authority, address);
  const chunks = await collect(client.fetchBlob({ digest: "some" }, limits()));
  t.equal(
    chunks.reduce((sum, { data }) => sum + data.length, 0),
    300,
  );
  const error = await collect(client.fetchBlob({ digest: "none" }, limits())).catch((thrown: unknown) => thrown);
  t.match(error, { code: "not-found", message: "there is no blob none", retryable: true });
});

t.test("a slow reader holds the writer back", async (t) => {
  const authority = await createAuthority("test", options);
  let written = 0;
  const address = await serve(t, authority, {
    fetchBlob: async function* () {
      for (; written < 1000; written++) yield { totalBytes: 0n, data: new Uint8Array(256 * 1024) };
    },
  });
  const client = await connect(t, authority, address);
  for await (const _ of client.fetchBlob({ digest: "big" }, limits())) break;
  t.ok(written < 200, `${written} of 1000 chunks were written for a reader that took one`);
});

t.test("a client without a certificate that is trusted now is refused by name, and told of", async (t) => {
  const authority = await createAuthority("test", options);
  const stranger = await createAuthority("stranger", options);
  let calls = 0;
  const failed: unknown[] = [];
  const address = await serve(
    t,
    authority,
    {
      fetchBlob: async function* () {
        calls += 1;
        yield {};
      },
    },
    (error) => void failed.push(error),
  );
  const fetchWith = async (own: ClientTls["own"]) => {
    const tls = { authoritiesPem: formatPemChain([authority.certificate]), serverName: serverNameOf(edge) };
    const client = createGrpcClient(SiteControl, { address, tls: own === undefined ? tls : { ...tls, own } });
    t.teardown(() => client[Symbol.dispose]());
    return codeOf(() => collect(client.fetchBlob({ digest: "x" }, limits())));
  };
  t.equal(await fetchWith(await pairFor(authority, agent)), "none");
  const untrusted = "certificate-untrusted";
  t.equal(await fetchWith(await pairFor(stranger, agent)), untrusted, "of another authority");
  t.equal(await fetchWith(await pairFor(authority, agent, -60_000)), untrusted, "expired");
  t.equal(await fetchWith(undefined), untrusted, "none");
  t.equal(calls, 1, "no handler ran for a stranger");
  t.same(
    failed.map((error) => isFailure(error) && error.code),
    [untrusted, untrusted, untrusted],
  );
});

t.test("a server of another authority or name is refused", async (t) => {
  const authority = await createAuthority("test", options);
  const stranger = await createAuthority("stranger", options);
  const address = await serve(t, authority, {});
  const fetchWith = async (changes: Partial<ClientTls>) => {
    const client = await connect(t, authority, address, changes);
    return codeOf(() => collect(client.fetchBlob({ digest: "x" }, limits())));
  };
  t.equal(await fetchWith({ authoritiesPem: formatPemChain([stranger.certificate]) }), "unavailable");
  t.equal(await fetchWith({ serverName: "near-2.edge.perigee.internal" }), "unavailable");
});

t.test("a call ends with its signal, on both sides", async (t) => {
  const authority = await createAuthority("test", options);
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const address = await serve(t, authority, {
    connect: async function* (_requests, call) {
      call.signal.addEventListener("abort", () => end());
      yield { message: { case: "ping", value: { nonce: 1n } } };
      await ended;
    },
  });
  const client = await connect(t, authority, address);
  const controller = new AbortController();
  async function* oneWhenEnded() {
    await ended;
    yield { message: { case: "pong" as const, value: { nonce: 1n } } };
  }
  const run = async () => {
    for await (const _ of client.connect(oneWhenEnded(), { signal: controller.signal })) {
      controller.abort(new Failure("deadline-exceeded", "enough"));
    }
  };
  t.equal(await codeOf(run), "deadline-exceeded");
  await ended;
});

t.test("a server that asks for no certificate answers without one; unary calls work", async (t) => {
  const authority = await createAuthority("test", options);
  const authoritiesPem = formatPemChain([authority.certificate]);
  const tls: ServerTls = { ...(await pairFor(authority, edge)), authoritiesPem, clientCertificate: "none" };
  const service = serviceOf(Enrolment, {
    enrol: async ({ nodeName }, { peer }) => ({ pool: nodeName, role: String(peer) }),
    renew: async () => {
      throw new Error("a bug whose text must not leave the process");
    },
  });
  const server = await startGrpcServer({
    listen: { host: "127.0.0.1", port: 0 },
    tls,
    services: [service],
    clock: systemClock,
  });
  t.teardown(() => server[Symbol.asyncDispose]());
  const client = createGrpcClient(Enrolment, {
    address: server.address,
    tls: { authoritiesPem, serverName: serverNameOf(edge) },
  });
  t.teardown(() => client[Symbol.dispose]());
  t.match(await client.enrol({ nodeName: "near-1" }, limits()), { pool: "near-1", role: "undefined" });
  const error = await client.renew({}, limits()).catch((thrown: unknown) => thrown);
  t.notMatch(String(error), /bug/);
});

t.test("new connections see a replaced certificate while an old one lives on", async (t) => {
  const authority = await createAuthority("test", options);
  const authoritiesPem = formatPemChain([authority.certificate]);
  const server = await startGrpcServer({
    listen: { host: "127.0.0.1", port: 0 },
    tls: { ...(await pairFor(authority, edge)), authoritiesPem, clientCertificate: "required" },
    services: [serviceOf(SiteControl, { connect: async function* () {}, fetchBlob: async function* () {} })],
    clock: systemClock,
  });
  t.teardown(() => server[Symbol.asyncDispose]());
  const fetchFrom = (client: Awaited<ReturnType<typeof connect>>) =>
    codeOf(() => collect(client.fetchBlob({ digest: "x" }, limits())));
  const standing = await connect(t, authority, server.address);
  t.equal(await fetchFrom(standing), "none");
  const renamed: PeerIdentity = { ...edge, name: "near-2" };
  server.replaceCertificate({ ...(await pairFor(authority, renamed)), authoritiesPem });
  t.equal(await fetchFrom(await connect(t, authority, server.address, { serverName: serverNameOf(renamed) })), "none");
  t.equal(await fetchFrom(standing), "none", "the connection that stands");
  const other = await createAuthority("stranger", options);
  const stranger = { serverName: serverNameOf(renamed), own: await pairFor(other, agent) };
  t.equal(
    await fetchFrom(await connect(t, authority, server.address, stranger)),
    "certificate-untrusted",
    "a client of another authority is refused after the change too",
  );
  const both = authoritiesPem + formatPemChain([other.certificate]);
  server.replaceCertificate({ ...(await pairFor(authority, renamed)), authoritiesPem: both });
  t.equal(await fetchFrom(await connect(t, authority, server.address, stranger)), "none", "until that one is trusted");
});

t.test(
  "a client lets much be under way: on a long path a snapshot takes one round trip, not one for each 64 KiB",
  async (t) => {
    const authority = await createAuthority("authority", options);
    const { keyPem, chainPem } = await pairFor(authority, edge);
    const server = createSecureServer({ key: keyPem, cert: chainPem });
    t.teardown(() => server.close());
    const told = Promise.withResolvers<Settings>();
    server.on("session", (session) => {
      session.once("remoteSettings", told.resolve);
      t.teardown(() => session.destroy());
    });
    const client = await connect(t, authority, await listen(server, { host: "127.0.0.1", port: 0 }));
    const calling = collect(client.connect((async function* () {})(), limits()));
    t.equal((await told.promise).initialWindowSize, RECEIVE_WINDOW_BYTES_MAX);
    client[Symbol.dispose]();
    await t.rejects(calling);
  },
);
