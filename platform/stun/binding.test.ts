import fc from "fast-check";
import t from "tap";
import { answerBinding, findFault, STUN_BYTES_MAX } from "./binding.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

/** RFC 5769 section 2.1. */
const REQUEST = hex(`
  000100582112a442b7e7a701bc34d686fa87dfae
  802200105354554e207465737420636c69656e74
  002400046e0001ff 80290008932ff9b151263b36
  000600096576746a3a68367659202020
  000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
  80280004e57a3bcf`);
const PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt";
const OWN = { fragment: "evtj", password: PASSWORD };

/** Type and value of each attribute of an answer. */
function attributesOf(message: Buffer): [number, Buffer][] {
  const found: [number, Buffer][] = [];
  for (let at = 20; at < message.byteLength; ) {
    const bytes = message.readUInt16BE(at + 2);
    found.push([message.readUInt16BE(at), message.subarray(at + 4, at + 4 + bytes)]);
    at += 4 + bytes + ((4 - (bytes % 4)) % 4);
  }
  return found;
}

t.test("the request of RFC 5769 is one, with its own credentials only", async (t) => {
  t.equal(findFault(REQUEST, OWN), undefined);
  t.equal(findFault(REQUEST, { ...OWN, fragment: "evt" }), "unknown-user");
  t.equal(findFault(REQUEST, { ...OWN, password: "another" }), "integrity");
});

t.test("no byte of a request may be another, and none be missing", async (t) => {
  fc.assert(
    fc.property(fc.nat(REQUEST.byteLength - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = Buffer.from(REQUEST);
      changed[at] = (changed[at] ?? 0) ^ change;
      return findFault(changed, OWN) !== undefined;
    }),
    { numRuns: 500 },
  );
  for (let bytes = 0; bytes < REQUEST.byteLength; bytes += 1)
    t.ok(findFault(REQUEST.subarray(0, bytes), OWN), `${bytes}`);
});

t.test("whatever comes is judged, and nothing of it thrown", async (t) => {
  const header = fc.constantFrom(
    REQUEST.subarray(0, 20),
    Buffer.alloc(0),
    Buffer.from([0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42]),
  );
  fc.assert(
    fc.property(header, fc.uint8Array({ maxLength: STUN_BYTES_MAX }), (start, rest) => {
      const message = Buffer.concat([start, rest]);
      if (message.byteLength >= 4 && start.byteLength === 20) message.writeUInt16BE(message.byteLength - 20, 2);
      return findFault(message, OWN) !== undefined;
    }),
    { numRuns: 2_000 },
  );
  t.equal(findFault(Buffer.concat([REQUEST, Buffer.alloc(STUN_BYTES_MAX)]), OWN), "not-stun", "too long");
});

t.test("the answers have the addresses that RFC 5769 has, and end with integrity and fingerprint", async (t) => {
  const four = attributesOf(answerBinding(REQUEST, { address: "192.0.2.1", port: 32_853 }, PASSWORD));
  t.same(
    four.map(([type]) => type),
    [0x0020, 0x0008, 0x8028],
  );
  t.same(four[0]?.[1], hex("0001a147e112a643"));
  const six = attributesOf(
    answerBinding(REQUEST, { address: "2001:db8:1234:5678:11:2233:4455:6677", port: 32_853 }, PASSWORD),
  );
  t.same(six[0]?.[1], hex("0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"));
});

t.test("an answer has the integrity and the fingerprint of what it says, and amplifies little", async (t) => {
  const answer = answerBinding(REQUEST, { address: "192.0.2.1", port: 32_853 }, PASSWORD);
  // Made a request, it is judged as one: user and integrity are of the same length.
  t.same(answer.subarray(4, 20), REQUEST.subarray(4, 20), "of the same transaction");
  t.equal(answer.readUInt16BE(0), 0x0101);
  t.equal(answer.readUInt16BE(2), answer.byteLength - 20);
  t.ok(answer.byteLength < REQUEST.byteLength);
});
