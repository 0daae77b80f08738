/** The stream to an origin by its name: looked up for each connection, so that an origin that has moved is found. */
import dns from "node:dns";
import t from "tap";
import { NodeSync } from "#contracts/generated/perigee/v1/node_pb.js";
import { systemClock } from "#platform/clock.ts";
import { serviceOf, startGrpcServer } from "#platform/grpc/server.ts";
import { type PeerIdentity, serverNameOf } from "#platform/identity/peer.ts";
import { EDGE, World } from "../sessions/door-world.test.ts";
import { connectByGrpc } from "./grpc-origin.ts";

const ORIGIN: PeerIdentity = { role: "origin", pool: "-", name: "origin" };
const CALL_MS_MAX = 10_000;

t.test("a name is looked up again for each connection", async (t) => {
  const world = await World.open(t);
  const { authoritiesPem } = world;
  const { keyPem, chainPem } = await world.pair(ORIGIN);
  const own = await world.pair(EDGE);
  const startOrigin = (host: string, port: number, nonce: bigint) =>
    startGrpcServer({
      listen: { host, port },
      tls: { keyPem, chainPem: chainPem + authoritiesPem, authoritiesPem, clientCertificate: "required" },
      services: [
        serviceOf(NodeSync, {
          async *connect() {
            yield { message: { case: "ping", value: { nonce, sentAtMs: 1n } } };
          },
        }),
      ],
      clock: systemClock,
    });
  let [address, lookups] = ["127.0.0.1", 0];
  t.intercept(dns.promises, "lookup", {
    value: async (name: string) => {
      t.equal(name, "origin.test");
      lookups += 1;
      return [{ address, family: 4 }];
    },
  });
  const first = await startOrigin(address, 0, 1n);
  const { port } = first.address;
  const connect = connectByGrpc({
    nextAddress: () => ({ host: "origin.test", port }),
    tls: () => ({ authoritiesPem, own, serverName: serverNameOf(ORIGIN) }),
  });
  const nonceOf = async (): Promise<unknown> => {
    const silent = async function* () {
      yield { message: { case: "hello" as const, value: { incarnation: "i", softwareVersion: "0" } } };
    };
    for await (const { message } of connect(silent(), systemClock.deadline(CALL_MS_MAX))) {
      if (message.case === "ping") return message.value.nonce;
    }
    return undefined;
  };
  t.equal(await nonceOf(), 1n);
  await first[Symbol.asyncDispose]();
  address = "127.0.0.2";
  const second = await startOrigin(address, port, 2n);
  t.teardown(() => second[Symbol.asyncDispose]());
  t.equal(await nonceOf(), 2n, "it has moved");
  t.equal(lookups, 2, "once for each connection");
});
