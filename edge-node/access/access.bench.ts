/** What the gate before a site costs a request, in time of the processor: a client's rate, and signatures by each algorithm. `--requests N --clients N`. */
import { parseArgs } from "node:util";
import { statementOf, withSignature } from "#domain/access/signed-url.ts";
import { fieldsOf } from "#domain/http/fields.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { decideAccess } from "./access-decision.ts";
import { RateLimiter } from "./rate-limiter.ts";
import { type ProvingKey, proofOf, proofsOf, type VerifyingKey } from "./signing-keys.ts";

const { values } = parseArgs({
  options: { requests: { type: "string", default: "2000000" }, clients: { type: "string", default: "10000" } },
});
const requests = Number(values.requests);
const clients = Array.from({ length: Number(values.clients) }, (_, index) => `198.51.${index >> 8}.${index & 255}`);

function measure(name: string, count: number, run: (index: number) => void): void {
  for (let index = 0; index < count / 10; index += 1) run(index);
  const before = process.cpuUsage();
  for (let index = 0; index < count; index += 1) run(index);
  const { user, system } = process.cpuUsage(before);
  const nanoseconds = ((user + system) * 1000) / count;
  process.stdout.write(`${name.padEnd(40)} ${nanoseconds.toFixed(0).padStart(8)} ns\n`);
}

const limiter = new RateLimiter({ requestsPerSecond: 1e6, burst: 1e6 });
measure(`rate, ${clients.length} clients in turn`, requests, (index) => {
  limiter.take(clients[index % clients.length] ?? "", index / 1000);
});
const crowded = new RateLimiter({ requestsPerSecond: 1e6, burst: 1e6 }, Math.max(2, clients.length / 2));
measure("rate, twice as many clients as are kept", requests, (index) => {
  crowded.take(clients[index % clients.length] ?? "", index / 1000);
});

const pair = generateSigningKey();
const secret = Buffer.alloc(32, 7);
const subjects: readonly (readonly [string, ProvingKey, VerifyingKey])[] = [
  ["hmac-sha-256", { algorithm: "hmac-sha-256", secret }, { algorithm: "hmac-sha-256", keyId: "k", secret }],
  ["ed25519", { algorithm: "ed25519", key: pair }, { algorithm: "ed25519", keyId: "k", publicKey: pair.publicKey }],
];
const fields = fieldsOf(["Host", "films.example", "Accept", "*/*"]);
for (const [name, proving, verifying] of subjects) {
  const access = { site: "films", paths: ["/*"], isProof: proofsOf([verifying]) };
  const urls = Array.from({ length: 2000 }, (_, index) => {
    const terms = { expiresAtSeconds: 2000, keyId: "k" };
    const target = `/films/${index}/part.ts?quality=high`;
    return withSignature(target, { ...terms, proof: proofOf(statementOf("films", target, terms), proving) });
  });
  const ask = (index: number) =>
    decideAccess({ target: urls[index % urls.length] ?? "", fields, client: "198.51.100.7" }, access, 1e6);
  if (name === "ed25519") measure("signature, ed25519, first time", 2000, (index) => void ask(index + 200));
  measure(`signature, ${name}${name === "ed25519" ? ", again" : ""}`, requests / 20, ask);
}
