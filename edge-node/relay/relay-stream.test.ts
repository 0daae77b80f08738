/** Two edges over real mutual TLS: the sibling that dials, and the peer listener of the one that relays. */
import { once } from "node:events";
import { connect as connectTls } from "node:tls";
import type { MessageInitShape } from "@bufbuild/protobuf";
import t, { type Test } from "tap";
import type { NodeMessageSchema } from "#contracts/generated/perigee/v1/node_pb.js";
import { type Address, formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { createAuthority, createCertificateRequest, issueCertificate } from "#platform/identity/authority.ts";
import { formatPemChain } from "#platform/identity/certificates.ts";
import type { PeerIdentity } from "#platform/identity/peer.ts";
import { exportPrivateKey, generateSigningKey } from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";
import { until } from "#test/simulation/until.ts";
import { startPeerListener } from "../pool/peer-listener.ts";
import type { Relay } from "./relay.ts";
import { dialRelay, FRAME_BYTES_MAX, RelayStreams } from "./relay-stream.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const authority = await createAuthority("test", { clock: systemClock, random: systemRandom });
const authoritiesPem = formatPemChain([authority.certificate]);
const edge = (name: string): PeerIdentity => ({ role: "edge", pool: "near", name });

async function pairFor(identity: PeerIdentity) {
  const key = generateSigningKey();
  const options = { clock: systemClock, random: systemRandom, lifetimeMs: 3_600_000 };
  const certificate = await issueCertificate(authority, await createCertificateRequest(key), identity, options);
  return { keyPem: exportPrivateKey(key), chainPem: formatPemChain([certificate]) };
}

type Serving = Pick<Relay, "refusalFor" | "serve">;

/** The listener of near-2. */
async function listenFor(t: Test, relay: Serving): Promise<Address> {
  const pair = await pairFor(edge("near-2"));
  const listener = await startPeerListener(
    {
      identity: {
        serverTls: (clientCertificate) => ({ ...pair, authoritiesPem, clientCertificate }),
        onRenewed: () => ({ [Symbol.dispose]: () => undefined }),
      },
      facts: () => {
        throw new Error("no request is made");
      },
      flowOf: () => undefined,
      blobs: { answer: () => Promise.reject(new Error("no request is made")) },
      streams: new RelayStreams(relay, systemClock),
      events: {
        peerAnswered: () => undefined,
        peerDeclined: () => undefined,
        broke: (error) => t.fail(String(error)),
      },
    },
    LOCAL,
  );
  t.teardown(() => listener[Symbol.asyncDispose]());
  return listener.address;
}

async function dialFrom(name: string, address: Address) {
  const own = await pairFor(edge(name));
  const peer = { name: "near-2", pool: "near", address: formatAddress(address) };
  const tls = (serverName: string) => ({ authoritiesPem, serverName, own });
  return dialRelay(peer, systemClock.deadline(5000), { tls, clock: systemClock });
}

const hello: MessageInitShape<typeof NodeMessageSchema> = {
  message: { case: "hello", value: { incarnation: "one", softwareVersion: "1" } },
};

/** Says hello, and then nothing until the signal is aborted. */
async function* helloOnly(signal: AbortSignal) {
  yield hello;
  await once(signal, "abort");
}

t.test("messages go both ways whole, large ones too, to whom the certificate names", async (t) => {
  const large = Buffer.alloc(3_000_000, 7);
  const seen: object[] = [];
  const address = await listenFor(t, {
    refusalFor: () => undefined,
    async *serve(messages, { peer }) {
      for await (const { message } of messages) {
        seen.push({ case: message.case, name: peer?.name, serial: typeof peer?.serial });
        yield { message: { case: "ping", value: { nonce: 1n, sentAtMs: 2n } } };
        yield { message: { case: "batch", value: { payload: large, signature: Buffer.from("s"), keyId: "k" } } };
        yield { message: { case: "ping", value: { nonce: 3n, sentAtMs: 4n } } };
        return;
      }
    },
  });
  const connect = await dialFrom("near-1", address);
  const ending = new AbortController();
  const cases: unknown[] = [];
  for await (const { message } of connect(helloOnly(ending.signal), ending.signal)) {
    cases.push(message.case);
    if (message.case === "batch") t.ok(large.equals(message.value.payload));
  }
  ending.abort();
  t.same(cases, ["ping", "batch", "ping"], "until the relay ends it");
  t.same(seen, [{ case: "hello", name: "near-1", serial: "string" }]);
});

t.test("a relay that declines says why, and nobody who is not there is waited for", async (t) => {
  const serve: Serving["serve"] = async function* () {
    yield* [];
  };
  const address = await listenFor(t, {
    refusalFor: (peer) => (peer?.name === "near-1" ? "not-linked" : "untrusted"),
    serve,
  });
  await t.rejects(dialFrom("near-1", address), { code: "unavailable", goesDirect: false, message: /not-linked/ });
  await t.rejects(dialFrom("near-9", address), { code: "unavailable", goesDirect: true, message: /untrusted/ });
  await t.rejects(dialFrom("near-1", { host: "127.0.0.1", port: 1 }), { code: "unavailable", message: /near-2 at/ });
});

t.test("either end hears that the other has gone", async (t) => {
  const ended: string[] = [];
  const address = await listenFor(t, {
    refusalFor: () => undefined,
    async *serve(messages, { signal }) {
      // As the relay does: what is not read does not tell of its end.
      const reading = (async () => {
        for await (const { message } of messages) ended.push(`read ${message.case}`);
      })();
      reading.catch(() => undefined);
      yield { message: { case: "ping", value: { nonce: 1n, sentAtMs: 2n } } };
      await once(signal, "abort");
      ended.push("relay");
    },
  });
  const ending = new AbortController();
  const connect = await dialFrom("near-1", address);
  const stream = connect(helloOnly(ending.signal), ending.signal)[Symbol.asyncIterator]();
  t.match(await stream.next(), { value: { message: { case: "ping" } } });
  const next = stream.next();
  ending.abort(new Error("enough"));
  await t.rejects(next, { message: "enough" });
  await until(() => ended.includes("relay"), "the relay has heard of it");
  t.same(ended, ["read hello", "relay"]);
});

t.test("a message that is longer than any may be ends the stream before it is read", async (t) => {
  let failure: unknown;
  const address = await listenFor(t, {
    refusalFor: () => undefined,
    async *serve(messages) {
      yield* [];
      try {
        for await (const _ of messages) t.fail("nothing is whole");
      } catch (error) {
        failure = error;
        throw error;
      }
    },
  });
  const { keyPem, chainPem } = await pairFor(edge("near-1"));
  const socket = connectTls({
    ...address,
    key: keyPem,
    cert: chainPem,
    ca: authoritiesPem,
    servername: "near-2.edge.perigee.internal",
  });
  await once(socket, "secureConnect");
  socket.on("error", () => undefined);
  socket.resume();
  socket.write("GET / HTTP/1.1\r\nHost: near-2\r\nConnection: Upgrade\r\nUpgrade: perigee-relay/1\r\n\r\n");
  const length = Buffer.alloc(4);
  length.writeUInt32BE(FRAME_BYTES_MAX + 1);
  socket.write(length);
  await once(socket, "close");
  t.match(failure, { code: "argument-invalid" });
});
