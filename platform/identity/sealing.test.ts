import fc from "fast-check";
import t from "tap";
import { exportSealingKey, generateSealingKey, importSealingKey, seal, unseal } from "./sealing.ts";

t.test("what is sealed opens with the key, for the context, and unchanged; else not at all", async (t) => {
  const own = importSealingKey(exportSealingKey(generateSealingKey()));
  const other = generateSealingKey();
  const property = fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), (bytes, at) => {
    const sealed = seal(own.publicKey, "a", bytes);
    t.same(Buffer.from(unseal(own, "a", sealed)), Buffer.from(bytes));
    t.throws(() => unseal(other, "a", sealed), { code: "signature-invalid" });
    t.throws(() => unseal(own, "b", sealed), { code: "signature-invalid" });
    const changed = Uint8Array.from(sealed);
    const place = at % changed.byteLength;
    changed[place] = (changed[place] ?? 0) ^ 1;
    t.throws(() => unseal(own, "a", changed), { code: "signature-invalid" });
    t.throws(() => unseal(own, "a", sealed.subarray(0, place)), { code: "signature-invalid" });
  });
  fc.assert(property, { seed: 4, numRuns: 50 });
  t.notOk(Buffer.from(seal(own.publicKey, "a", Buffer.from("hello"))).includes("hello"));
});

t.test("what is no key is refused by name", async (t) => {
  t.throws(() => seal(new Uint8Array(31), "a", new Uint8Array()), { code: "argument-invalid" });
  t.throws(() => seal(new Uint8Array(32), "a", new Uint8Array()), Error, "a point of low order");
  t.throws(() => importSealingKey("hello"), { code: "storage-failed" });
});
