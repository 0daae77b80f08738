import { createSocket } from "node:dgram";
import { once } from "node:events";
import t, { type Test } from "tap";
import { seededRandom } from "#platform/random.ts";
import type { StunFault } from "#platform/stun/binding.ts";
import { bindingRequest } from "#test/stun/binding-request.ts";
import { startUdpProbes } from "./udp-probes.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };

async function start(t: Test, address?: { host: string; port: number }) {
  const counted = { answered: 0, refused: [] as StunFault[], broke: [] as Error[] };
  const refusal = Promise.withResolvers<void>();
  const probes = await startUdpProbes({
    ...{ listen: LOCAL, address, random: seededRandom(5) },
    events: {
      udpProbeAnswered: () => {
        counted.answered += 1;
      },
      udpProbeRefused(fault) {
        counted.refused.push(fault);
        refusal.resolve();
      },
      udpProbesBroke: (error) => void counted.broke.push(error),
    },
  });
  t.teardown(() => probes[Symbol.asyncDispose]());
  const client = createSocket("udp4");
  t.teardown(() => client.close());
  const { port, address: host } = probes.target;
  return { probes, counted, client, refused: refusal.promise, send: (bytes: Buffer) => client.send(bytes, port, host) };
}

t.test("a check with its credentials is answered to where it came from, and nothing else is", async (t) => {
  const { probes, counted, client, refused, send } = await start(t);
  t.match(probes.target, { address: "127.0.0.1", fragment: /^[\w-]{8}$/, password: /^[\w-]{32}$/ });
  send(bindingRequest({ ...probes.target, password: "another" }));
  await refused;
  send(bindingRequest(probes.target));
  const [answer]: [Buffer] = (await once(client, "message")) as [Buffer];
  t.equal(answer.subarray(0, 2).toString("hex"), "0101");
  t.equal(answer.readUInt16BE(26) ^ 0x2112, client.address().port, "of this client");
  t.match(counted, { answered: 1, refused: ["integrity"], broke: [] });
});

t.test("what clients are told is where they reach it", async (t) => {
  const { probes } = await start(t, { host: "192.0.2.7", port: 7424 });
  t.match(probes.target, { address: "192.0.2.7", port: 7424 });
});

t.test("what no browser can send checks to is refused at the start", async (t) => {
  const events = { udpProbeAnswered() {}, udpProbeRefused() {}, udpProbesBroke() {} };
  const random = seededRandom(7);
  const anywhere = { host: "0.0.0.0", port: 0 };
  const named = { host: "near-1.edge.example", port: 7424 };
  for (const options of [
    { listen: anywhere, address: undefined },
    { listen: LOCAL, address: named },
  ]) {
    const started = startUdpProbes({ ...options, random, events });
    await t.rejects(started, { code: "config-invalid", message: /probe.address/ }, JSON.stringify(options));
  }
});

t.test("an address that is taken is named", async (t) => {
  const { probes } = await start(t);
  const { port } = probes.target;
  const events = { udpProbeAnswered() {}, udpProbeRefused() {}, udpProbesBroke() {} };
  const listen = { host: "127.0.0.1", port };
  await t.rejects(startUdpProbes({ listen, address: undefined, random: seededRandom(6), events }), {
    code: "unavailable",
    message: new RegExp(`cannot listen on 127.0.0.1:${port}`),
  });
});
