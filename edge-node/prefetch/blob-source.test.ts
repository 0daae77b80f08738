/** Blobs from the first of several origins that answers: one that fails is left for the others until they fail too. */
import { createServer } from "node:https";
import { buffer } from "node:stream/consumers";
import t, { type Test } from "tap";
import { type Address, formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { type PeerIdentity, serverNameOf } from "#platform/identity/peer.ts";
import { EDGE, World } from "../sessions/door-world.test.ts";
import { BlobSource } from "./blob-source.ts";

const ORIGIN: PeerIdentity = { role: "origin", pool: "-", name: "origin" };
const LOOPBACK: Address = { host: "127.0.0.1", port: 0 };
const DIGEST = "a".repeat(64);

class Origins {
  readonly #t: Test;
  readonly #world: World;

  constructor(t: Test, world: World) {
    this.#t = t;
    this.#world = world;
  }

  /** Answers with its own name, or as it is told. */
  async start(name: string): Promise<{ readonly address: Address; status: number; readonly asked: () => number }> {
    const { keyPem, chainPem } = await this.#world.pair(ORIGIN);
    let asked = 0;
    const state = { status: 200 };
    const server = createServer({ key: keyPem, cert: chainPem }, (_, response) => {
      asked += 1;
      response.writeHead(state.status).end(name);
    });
    const address = await listen(server, LOOPBACK);
    this.#t.teardown(async () => {
      server.closeAllConnections();
      await closeServer(server);
    });
    return Object.assign(state, { address, asked: () => asked });
  }

  /** Nobody listens there. */
  async nobody(): Promise<Address> {
    const server = createServer();
    const address = await listen(server, LOOPBACK);
    await closeServer(server);
    return address;
  }
}

t.test("what fails is left for the others, until all have failed or another comes first", async (t) => {
  const world = await World.open(t);
  const origins = new Origins(t, world);
  const [one, two, gone] = [await origins.start("one"), await origins.start("two"), await origins.nobody()];
  let known = [gone, one.address, two.address];
  const { authoritiesPem } = world;
  const own = await world.pair(EDGE);
  using source = new BlobSource({
    addresses: () => known,
    tls: () => ({ authoritiesPem, own, serverName: serverNameOf(ORIGIN) }),
    clock: systemClock,
  });
  const open = async (): Promise<string> => {
    const { bytes } = await source.open(DIGEST, 0, systemClock.deadline(10_000));
    return String(await buffer(bytes));
  };
  const many = await Promise.allSettled(Array.from({ length: 8 }, open));
  t.ok(many.every(({ status }) => status === "rejected"));
  t.match(
    many[0],
    { reason: { code: "unavailable", message: new RegExp(formatAddress(gone)) } },
    "the address is named",
  );
  t.equal(await open(), "one", "many that fail together have failed at one");
  t.equal(await open(), "one");

  one.status = 503;
  await t.rejects(open(), { code: "unavailable", retryable: true });
  t.equal(await open(), "two");
  two.status = 404;
  await t.rejects(open(), { code: "not-found", retryable: true });
  one.status = 200;
  await t.rejects(open(), { code: "unavailable" }, "all have failed: the first is tried again");
  t.equal(await open(), "one");

  two.status = 200;
  known = [two.address, gone, one.address];
  t.equal(await open(), "two", "the edge is linked by another now");
  known = [one.address];
  t.equal(await open(), "one");
  t.ok(one.asked() > 0 && two.asked() > 0);
});

t.test("who gives up himself blames nobody", async (t) => {
  const world = await World.open(t);
  const origins = new Origins(t, world);
  const [one, two] = [await origins.start("one"), await origins.start("two")];
  const { authoritiesPem } = world;
  using source = new BlobSource({
    addresses: () => [one.address, two.address],
    tls: () => ({ authoritiesPem, serverName: serverNameOf(ORIGIN) }),
    clock: systemClock,
  });
  await t.rejects(source.open(DIGEST, 0, AbortSignal.abort()), { code: "unavailable" });
  const { bytes } = await source.open(DIGEST, 0, systemClock.deadline(10_000));
  t.equal(String(await buffer(bytes)), "one");
});
