/** A process of hollow edges, told what to do and asked what they hold by the benchmark that started it. */
import { readFileSync } from "node:fs";
import { Value } from "typebox/value";
import { parseAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { serverNameOf } from "#platform/identity/peer.ts";
import { importPublicKey } from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";
import { planSchema } from "./fleet-plan.ts";
import { HollowEdge } from "./hollow-edge.ts";
import { type Command, commandSchema, type Told } from "./messages.ts";

const plan = Value.Parse(planSchema, JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")));
const keys = new Map([[plan.streamKey.keyId, importPublicKey(Buffer.from(plan.streamKey.spki, "base64"))]]);
const tls = { authoritiesPem: plan.authoritiesPem, serverName: serverNameOf({ role: "origin", name: "origin" }) };
const nowMs = () => performance.timeOrigin + performance.now();

const CONNECTING_AT_ONCE = 16;

let awaited = Number.POSITIVE_INFINITY;
let appliedAtMs = new Map<string, number>();
let downs = 0;
let fault = "";

const bytesOf = (text: string) => Buffer.from(text, "base64");
const setOf = (pool: string) =>
  (plan.sets[pool] ?? []).map(({ payload, signature, keyId }) => {
    return { payload: bytesOf(payload), signature: bytesOf(signature), keyId };
  });

const edges = plan.edges.map(({ name, pool, chainPem, peer }) => {
  return new HollowEdge({
    ...(peer === undefined ? {} : { peer }),
    held: setOf(pool),
    name,
    pool,
    address: parseAddress(plan.nodeRpc),
    tls: { ...tls, own: { keyPem: plan.keyPem, chainPem } },
    keys,
    clock: systemClock,
    random: systemRandom,
    onApplied: (revision) => {
      if (revision >= awaited && !appliedAtMs.has(name)) appliedAtMs.set(name, nowMs());
    },
    onDown: () => {
      downs += 1;
    },
    onFault: (message) => {
      fault = message;
    },
  });
});

/**
 * Each real edge has a processor of its own for its handshake; here a few at a time share one. Whoever others wait for is
 * not to stand behind them in that queue.
 */
async function connectAll(): Promise<void> {
  const waiting = edges.toSorted((a, b) => a.rank - b.rank).values();
  const connectNext = async () => {
    for (const edge of waiting) await edge.connect();
  };
  await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, connectNext));
}

async function follow(command: Command): Promise<void> {
  switch (command.do) {
    case "connect":
      downs = 0;
      void connectAll();
      return;
    case "disconnect":
      await Promise.all(edges.map((edge) => edge.disconnect()));
      return;
    case "await":
      awaited = command.revision;
      appliedAtMs = new Map(edges.flatMap(({ name, revision }) => (revision >= awaited ? [[name, nowMs()]] : [])));
      return;
    case "tell":
      return;
  }
}

process.on("message", (message) => {
  const command = Value.Parse(commandSchema, message);
  void follow(command).then(() => {
    const told: Told = {
      up: edges.filter(({ isUp }) => isUp).length,
      revision: Math.min(...edges.map(({ revision }) => revision)),
      appliedAtMs: [...appliedAtMs.values()],
      downs,
      fault,
    };
    process.send?.(told);
  });
});
process.once("disconnect", () => process.exit(0));
await Promise.all(edges.map((edge) => edge.listen()));
process.send?.({ up: 0, revision: 0, appliedAtMs: [], downs: 0, fault: "" } satisfies Told);
