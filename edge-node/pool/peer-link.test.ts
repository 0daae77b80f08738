/** Two edges over real mutual TLS: the client of one and the listener of the other. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { buffer } from "node:stream/consumers";
import t, { type Test } from "tap";
import { formatAddress } from "#platform/address.ts";
import { type Clock, systemClock } from "#platform/clock.ts";
import type { CertificatePair } from "#platform/grpc/certificate-source.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { createAuthority, createCertificateRequest, issueCertificate } from "#platform/identity/authority.ts";
import { formatPemChain } from "#platform/identity/certificates.ts";
import type { PeerIdentity } from "#platform/identity/peer.ts";
import { exportPrivateKey, generateSigningKey } from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import type { PeerAsker } from "../request/peer-asker.ts";
import type { UpstreamRequest } from "../upstream/upstream-client.ts";
import { BLOB_FIELD } from "./blob-fields.ts";
import { PeerClients } from "./peer-clients.ts";
import { startPeerListener } from "./peer-listener.ts";
import { formatTierRequest, parseDecline, TIER_FIELD } from "./tier-fields.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const HEAD_MS = 5_000;
const authority = await createAuthority("test", { clock: systemClock, random: systemRandom });
const authoritiesPem = formatPemChain([authority.certificate]);
const edge = (name: string, pool = "near"): PeerIdentity => ({ role: "edge", pool, name });

async function pairFor(identity: PeerIdentity, issuer = authority) {
  const key = generateSigningKey();
  const request = await createCertificateRequest(key);
  const options = { clock: systemClock, random: systemRandom, lifetimeMs: 3_600_000 };
  const chain = formatPemChain([await issueCertificate(issuer, request, identity, options)]);
  return { keyPem: exportPrivateKey(key), chainPem: chain };
}

type Handle = (incoming: IncomingMessage, response: ServerResponse, asker?: PeerAsker) => Promise<void> | void;

async function listenAs(t: Test, identity: PeerIdentity, handle: Handle) {
  const pair = await pairFor(identity);
  const declined: string[] = [];
  const listener = await startPeerListener(
    {
      identity: {
        serverTls: (clientCertificate) => ({ ...pair, authoritiesPem, clientCertificate }),
        onRenewed: () => ({ [Symbol.dispose]: () => undefined }),
      },
      facts: () => ({
        ...{ view: { childPools: new Set(["below"]) }, pool: "near", applied: { epoch: 1, revision: 5 } },
        ...{ isMember: () => true, isRevoked: ({ name }) => name === "stolen", isServed: () => "served" },
      }),
      blobs: {
        async answer(_incoming, response, asker) {
          response.end(`blob for ${asker}`);
        },
      },
      flowOf: () => ({ handle: async (incoming, response, asker) => await handle(incoming, response, asker) }),
      events: {
        peerAnswered: () => undefined,
        peerDeclined: (reason) => void declined.push(reason),
        broke: (error) => t.fail(String(error)),
      },
    },
    LOCAL,
  );
  t.teardown(() => listener[Symbol.asyncDispose]());
  return { address: formatAddress(listener.address), declined };
}

async function clientsOf(t: Test, identity: PeerIdentity | undefined, clock?: Clock): Promise<PeerClients> {
  return clientsWith(t, identity && (await pairFor(identity)), clock);
}

function clientsWith(t: Test, own: CertificatePair | undefined, clock: Clock = systemClock): PeerClients {
  const clients = new PeerClients({
    tls: (serverName) => ({ authoritiesPem, serverName, ...(own === undefined ? {} : { own }) }),
    ...{ clock, random: systemRandom },
  });
  t.teardown(() => clients[Symbol.asyncDispose]());
  return clients;
}

const said = { site: "shop", scheme: "https", host: "shop.example", applied: { epoch: 1, revision: 5 } } as const;
const asking: UpstreamRequest = {
  method: "GET",
  target: "/a?b",
  fields: new Map([[TIER_FIELD, [formatTierRequest(said)]]]),
};
const textOf = async (body: AsyncIterable<Uint8Array>) => (await buffer(body)).toString();

t.test(
  "a request comes as the user agent made it, from whom the certificate says, over one connection and the next",
  async (t) => {
    const seen: object[] = [];
    const { address } = await listenAs(t, edge("near-2"), (incoming, response, asker) => {
      seen.push({ host: incoming.headers.host, url: incoming.url, asker });
      response.end("here");
    });
    const sibling = await clientsOf(t, edge("near-1"));
    const child = await clientsOf(t, edge("below-1", "below"));
    const peer = { name: "near-2", pool: "near", address };
    for (const clients of [sibling, child])
      t.equal(await textOf((await clients.call(peer, asking, HEAD_MS)).body), "here");
    sibling.update([]);
    t.equal(
      await textOf((await sibling.call(peer, asking, HEAD_MS)).body),
      "here",
      "and after its connections were closed",
    );
    const as = (askedBy: string) => ({ host: "shop.example", url: "/a?b", asker: { askedBy, scheme: "https" } });
    t.same(seen, [as("sibling"), as("child"), as("sibling")]);
  },
);

t.test("a stranger, an edge of another pool and one that was revoked are declined", async (t) => {
  const { address, declined } = await listenAs(t, edge("near-2"), (_incoming, response) => void response.end("here"));
  const peer = { name: "near-2", pool: "near", address };
  const forger = await createAuthority("test", { clock: systemClock, random: systemRandom });
  const strangers = [clientsWith(t, await pairFor(edge("near-1"), forger))];
  for (const identity of [
    undefined,
    edge("far-1", "far"),
    edge("stolen"),
    { ...edge("gpu-1"), role: "agent" as const },
  ]) {
    strangers.push(await clientsOf(t, identity));
  }
  for (const clients of strangers) {
    const { status, fields, discard } = await clients.call(peer, asking, HEAD_MS);
    t.equal(status, 403);
    t.equal(parseDecline(fields), "untrusted");
    discard();
  }
  t.same(
    declined,
    Array.from({ length: 5 }, () => "untrusted"),
  );
});

t.test("blobs are for siblings alone: an edge of a pool below is declined, as are strangers", async (t) => {
  const { address, declined } = await listenAs(t, edge("near-2"), () => void t.fail("the flow was asked"));
  const peer = { name: "near-2", pool: "near", address };
  const wanted = { ...asking, fields: new Map([[BLOB_FIELD, ["held"]]]) };
  const sibling = await clientsOf(t, edge("near-1"));
  t.equal(await textOf((await sibling.call(peer, wanted, HEAD_MS)).body), "blob for near-1");
  for (const identity of [undefined, edge("below-1", "below"), edge("far-1", "far"), edge("stolen")]) {
    const { status, discard } = await (await clientsOf(t, identity)).call(peer, wanted, HEAD_MS);
    t.equal(status, 403, identity?.name ?? "nobody");
    discard();
  }
  t.equal(declined.length, 4);
});

t.test("who answers at the address in another's name gets no request", async (t) => {
  const { address } = await listenAs(t, edge("near-3"), () => void t.fail("it was asked"));
  const clients = await clientsOf(t, edge("near-1"));
  await t.rejects(clients.call({ name: "near-2", pool: "near", address }, asking, HEAD_MS), { code: "unavailable" });
});

t.test("a peer that takes its time is waited for as long as the site says, one that says nothing is not", async (t) => {
  const finish = Promise.withResolvers<void>();
  const { address } = await listenAs(t, edge("near-2"), async (_incoming, response) => {
    response.writeEarlyHints({ link: "</a>; rel=preload" });
    await finish.promise;
    response.end("late");
  });
  const clock = new VirtualClock();
  const clients = await clientsOf(t, edge("near-1"), clock);
  const near2 = { name: "near-2", pool: "near", address };
  const startSlow = async (headMsMax: number) => {
    const hinted = Promise.withResolvers<void>();
    const call = clients.call(near2, { ...asking, onInterim: () => hinted.resolve() }, headMsMax);
    // By now the word before the hint has come, too: that the peer has the request.
    await hinted.promise;
    return { call };
  };
  const patient = await startSlow(30_000);
  const hasty = await startSlow(5_000);
  const mute = createTcpServer((socket) => socket.resume());
  const silent = formatAddress(await listen(mute, LOCAL));
  t.teardown(() => closeServer(mute));
  const unheard = clients.call({ name: "near-3", pool: "near", address: silent }, asking, 30_000);
  const late = { code: "upstream-timeout" };
  await Promise.all([t.rejects(unheard, late), clock.advance(2_000)]);
  await Promise.all([t.rejects(hasty.call, late), clock.advance(3_000)]);
  finish.resolve();
  t.equal(await textOf((await patient.call).body), "late");
});

t.test("hints of the upstream come through, and what says that the peer lives does not", async (t) => {
  const { address } = await listenAs(t, edge("near-2"), (_incoming, response) => {
    response.writeEarlyHints({ link: "</style.css>; rel=preload" });
    response.end("here");
  });
  const clients = await clientsOf(t, edge("near-1"));
  const hints: number[] = [];
  const onInterim = (status: number) => void hints.push(status);
  const response = await clients.call({ name: "near-2", pool: "near", address }, { ...asking, onInterim }, HEAD_MS);
  t.equal(await textOf(response.body), "here");
  t.same(hints, [103]);
});
