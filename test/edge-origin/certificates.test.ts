/** Certificates of a running fleet: renewed under a stream that stands, after they ran out, and by another authority. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import type { MessageInitShape } from "@bufbuild/protobuf";
import t from "tap";
import { Enrolment } from "#contracts/generated/perigee/v1/enrolment_pb.js";
import { type NodeMessageSchema, NodeSync } from "#contracts/generated/perigee/v1/node_pb.js";
import type { RunningEdge } from "#edge-node/edge.ts";
import { openSessionDoor } from "#edge-node/sessions/session-door.ts";
import { Authorities } from "#origin/keys/authorities.ts";
import type { Address } from "#platform/address.ts";
import { type Clock, systemClock } from "#platform/clock.ts";
import { BoundedQueue } from "#platform/concurrency/bounded-queue.ts";
import { createGrpcClient } from "#platform/grpc/client.ts";
import { type Authority, createCertificateRequest, issueCertificate } from "#platform/identity/authority.ts";
import { formatPemChain, parsePemChain, pinOf } from "#platform/identity/certificates.ts";
import { openNodeIdentity } from "#platform/identity/node-identity.ts";
import { serverNameOf } from "#platform/identity/peer.ts";
import { fetchServerIdentity } from "#platform/identity/server-identity.ts";
import { importPrivateKey } from "#platform/identity/signatures.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { until } from "#test/simulation/until.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  api,
  document,
  type EdgeSettings,
  get,
  hasBody,
  joinSettings,
  publish,
  shop,
  startCloud,
  startEdgeHere,
  untilAnswer,
} from "./edge-and-origin.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const LOOK_MS = 60_000;
const LINK_UP = "\nperigee_edge_node_origin_link_up 1\n";

interface Identity {
  readonly keyPem: string;
  readonly chainPem: string;
  readonly authoritiesPem: string;
}

const identityFile = ({ dataDir }: EdgeSettings) => join(dataDir, "identity", "identity.json");
const identityOf = (edge: EdgeSettings): Identity => JSON.parse(readFileSync(identityFile(edge), "utf8"));

/** The pins of what the node trusts, and of what issued its certificate. */
function heldBy(edge: EdgeSettings, authorities: Authorities) {
  const { chainPem, authoritiesPem } = identityOf(edge);
  const [leaf] = parsePemChain(chainPem);
  const issuer = authorities.trusted.find(({ publicKey }) => leaf?.verify(publicKey));
  return { trusted: parsePemChain(authoritiesPem).map(pinOf), issuer: issuer && pinOf(issuer) };
}

/** The node's own key, certified for a life that ended so long ago. */
async function expire(edge: EdgeSettings, authority: Authority, agoMs: number): Promise<void> {
  const stored = identityOf(edge);
  const request = await createCertificateRequest(importPrivateKey(stored.keyPem));
  const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() - agoMs - HOUR_MS };
  const identity = { role: "edge", pool: "near", name: edge.name } as const;
  const leaf = await issueCertificate(authority, request, identity, {
    clock,
    random: systemRandom,
    lifetimeMs: HOUR_MS,
  });
  writeFileSync(identityFile(edge), JSON.stringify({ ...stored, chainPem: formatPemChain([leaf]) }));
}

const isLinked = ({ addresses }: RunningEdge) =>
  untilAnswer(
    () => get(addresses.admin, "/metrics"),
    ({ body }) => body.includes(LINK_UP),
    "linked",
  );

/** Whether who has the one identity believes what the other shows at its listener. */
function believes(one: EdgeSettings, other: EdgeSettings, at: Address | undefined): Promise<boolean> {
  const { keyPem, chainPem, authoritiesPem } = identityOf(one);
  const servername = serverNameOf({ role: "edge", name: other.name });
  return new Promise((resolve, reject) => {
    const options = { ...at, key: keyPem, cert: chainPem, ca: authoritiesPem, servername, ALPNProtocols: ["h2"] };
    const socket = connect({ ...options, rejectUnauthorized: false }, () => {
      resolve(socket.authorized);
      socket.destroy();
    }).once("error", reject);
  });
}

t.test("a certificate is renewed in its last third while the stream stands", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  const { name, settings, dataDir } = await joinSettings(cloud, folder, "near-1");
  const { tokenFile, pin }: { tokenFile: string; pin: string } = Object(settings).join;
  const clock = new VirtualClock(systemClock.nowMs());
  await using identity = await openNodeIdentity({
    ...{ folder: join(dataDir, "identity"), role: "edge", name, join: { tokenFile, pin } },
    enrolment: [cloud.origin.addresses.enrolment],
    connect: (address, tls) => createGrpcClient(Enrolment, { address, tls }),
    clock,
    // Half of what chance may add: at four fifths of its life.
    random: { ...systemRandom, ratio: () => 0.5 },
    logger: createLogger({ program: "edge-node", level: "silent" }),
    signal: systemClock.deadline(20_000),
  });
  const ending = new AbortController();
  t.teardown(() => ending.abort());
  const { signal } = ending;
  const tls = identity.clientTls("origin.origin.perigee.internal");
  using client = createGrpcClient(NodeSync, { address: cloud.origin.addresses.nodeRpc, tls });
  const queue = new BoundedQueue<MessageInitShape<typeof NodeMessageSchema>>(64);
  queue.push({ message: { case: "hello", value: { incarnation: "one", softwareVersion: "0.1.0" } } });
  let batches = 0;
  let ended: unknown;
  const outgoing = async function* () {
    for (;;) yield await queue.take(signal);
  };
  const reading = (async () => {
    for await (const { message } of client.connect(outgoing(), { signal })) {
      if (message.case === "batch") batches += 1;
      if (message.case !== "ping") continue;
      const { nonce, sentAtMs } = message.value;
      queue.push({ message: { case: "pong", value: { nonce, sentAtMs } } });
    }
  })().catch((error: unknown) => {
    ended = error;
  });
  await until(() => batches > 0, "the stream stands");
  const { serial } = identity;
  const [leaf] = parsePemChain(identity.pair().chainPem);
  t.ok(leaf);
  const fromMs = leaf?.validFromDate.getTime() ?? 0;
  const lifeMs = (leaf?.validToDate.getTime() ?? 0) - fromMs;
  const dueInMs = fromMs + lifeMs * 0.8 - clock.nowMs();
  const looks = Math.floor(dueInMs / LOOK_MS);
  await clock.advance(looks * LOOK_MS);
  t.equal(identity.serial, serial, "not before it is due");
  await clock.advance(LOOK_MS);
  await until(() => identity.serial !== serial, "renewed");
  const before = batches;
  await api(cloud, "POST", "/v1/apply", { documents: [shop] });
  await until(() => batches > before, "what is published comes on the stream that stood");
  t.equal(ended, undefined);
  ending.abort();
  await reading;
});

t.test("an authority takes over while half of the fleet is away, and nobody is locked out", async (t) => {
  const folder = testFolder(t);
  const cloud = await startCloud(t, join(folder, "origin"));
  await api(cloud, "POST", "/v1/apply", { documents: [shop] });
  await publish(cloud, "shop", { "/index.html": "before" });
  const tools = { clock: systemClock, random: systemRandom };
  const identityFolder = join(cloud.dataDir, "identity");
  const old = (await Authorities.open(identityFolder, tools)).issuing;
  const names = ["near-1", "near-2", "near-3", "near-4"];
  const fleet: EdgeSettings[] = [];
  for (const name of names) fleet.push(await joinSettings(cloud, folder, name));
  const running = await Promise.all(fleet.map((edge) => startEdgeHere(t, edge, openSessionDoor)));
  await Promise.all(running.map(isLinked));
  const [stays, , away, expired] = fleet;
  const [first, second, third, fourth] = running;
  if (!stays || !away || !expired || !first || !second || !third || !fourth) throw new Error("four edges");
  await untilAnswer(() => get(fourth.addresses.content, "/"), hasBody("before"), "served");
  await Promise.all([third, fourth].map((edge) => edge[Symbol.asyncDispose]()));

  await api(cloud, "POST", "/v1/authority/rotation", {});
  const authorities = await Authorities.open(identityFolder, tools);
  const [newPin, oldPin] = authorities.trusted.map(pinOf);
  t.equal(oldPin, pinOf(old.certificate));
  const later = await joinSettings(cloud, folder, "near-5");
  const fifth = await startEdgeHere(t, later, openSessionDoor);
  await isLinked(fifth);
  t.same(heldBy(later, authorities), { trusted: [newPin, oldPin], issuer: newPin }, "who joins gets both");
  t.same(heldBy(stays, authorities), { trusted: [oldPin], issuer: oldPin }, "who is there needs nothing at once");
  t.ok(await believes(stays, later, fifth.addresses.site), "who knows only the old one believes the new one's");
  t.ok(await believes(later, stays, first.addresses.site), "and the other way round");

  await expire(expired, old, DAY_MS);
  const back = await Promise.all([away, expired].map((edge) => startEdgeHere(t, edge)));
  const [thirdAgain, fourthAgain] = back;
  if (!thirdAgain || !fourthAgain) throw new Error("two edges");
  t.ok(
    hasBody("before")(await get(fourthAgain.addresses.content, "/")),
    "an expired certificate keeps nothing from users",
  );
  await Promise.all([first, second, fifth, ...back].map(isLinked));
  t.same(
    heldBy(expired, authorities),
    { trusted: [newPin, oldPin], issuer: newPin },
    "renewed by proof of the old key",
  );
  await publish(cloud, "shop", { "/index.html": "after" });
  for (const { addresses } of [first, second, fifth, ...back]) {
    await untilAnswer(() => get(addresses.content, "/"), hasBody("after"), "current");
  }
});

t.test(
  "once the old authority has retired the new one's nodes go on; who kept to the old one is told what to do",
  async (t) => {
    const folder = testFolder(t);
    const cloud = await startCloud(t, join(folder, "origin"));
    await api(cloud, "POST", "/v1/apply", {
      documents: [document("Site", "shop", { hostnames: ["s.example"], publish: {} })],
    });
    const tools = { clock: systemClock, random: systemRandom };
    const identityFolder = join(cloud.dataDir, "identity");
    const old = (await Authorities.open(identityFolder, tools)).issuing;
    const late = await joinSettings(cloud, folder, "near-1");
    await (await startEdgeHere(t, late))[Symbol.asyncDispose]();
    await api(cloud, "POST", "/v1/authority/rotation", { overlapSeconds: 1 });
    const joined = await joinSettings(cloud, folder, "near-2");
    await (await startEdgeHere(t, joined))[Symbol.asyncDispose]();
    const gone = await joinSettings(cloud, folder, "near-3");
    await (await startEdgeHere(t, gone))[Symbol.asyncDispose]();
    await expire(gone, old, 31 * DAY_MS);
    const tls = await renewalOf(cloud.origin.addresses.enrolment, gone);
    t.match(tls, {
      code: "certificate-untrusted",
      message: /join-token --role edge --name near-3 --pool near.*identity\.json/,
    });
    const retiresAtMs = Number(JSON.parse(await api(cloud, "GET", "/v1/authority")).retiring.retiresAtMs);
    await cloud.origin[Symbol.asyncDispose]();
    await until(() => systemClock.nowMs() > retiresAtMs, "the overlap is over");
    const again = await startCloud(t, cloud.dataDir, cloud);
    t.equal(JSON.parse(await api(again, "GET", "/v1/authority")).retiring, undefined);
    await isLinked(await startEdgeHere(t, joined));
    const trust = { authorities: parsePemChain(identityOf(late).authoritiesPem) };
    const limits = { nowMs: systemClock.nowMs(), signal: systemClock.deadline(10_000) };
    const refused = fetchServerIdentity(again.origin.addresses.enrolment, trust, limits);
    await t.rejects(refused, { code: "certificate-untrusted", message: /joins again by a new token/ });
  },
);

/** Why the node's renewal fails. */
async function renewalOf(address: Address, edge: EdgeSettings): Promise<unknown> {
  const { keyPem, chainPem, authoritiesPem } = identityOf(edge);
  const tls = { authoritiesPem, serverName: serverNameOf({ role: "origin", name: "origin" }) };
  using client = createGrpcClient(Enrolment, { address, tls });
  const certificateRequest = await createCertificateRequest(importPrivateKey(keyPem));
  const oldChain = parsePemChain(chainPem).map(({ raw }) => new Uint8Array(raw));
  const request = { certificateRequest, oldChain, proof: new Uint8Array(64) };
  return await client.renew(request, { signal: systemClock.deadline(10_000) }).catch((error: unknown) => error);
}
