import fc from "fast-check";
import t from "tap";
import { ProbeTrust } from "./probe-trust.ts";

const LIE = { probedMs: 4, sessionMs: 40 };
const TRUTH = { probedMs: 20, sessionMs: 24 };

t.test("who is not judged is believed; a lie costs half, and the next ones half of the rest", async (t) => {
  const trust = new ProbeTrust(10);
  t.equal(trust.ratioOf("c"), 1);
  trust.judge("c", LIE);
  t.equal(trust.ratioOf("c"), 0.5);
  t.notOk(trust.isBelieved("c"));
  trust.judge("c", LIE);
  t.equal(trust.ratioOf("c"), 0.25);
  t.ok(trust.isBelieved("other"));
});

t.test("load and a path that changes a little are no lie; neither is a probe that was slower", async (t) => {
  const trust = new ProbeTrust(10);
  for (const [probedMs, sessionMs] of [
    [4, 9],
    [20, 30],
    [60, 5],
    [0, 5],
  ] as const) {
    trust.judge("c", { probedMs, sessionMs });
    t.equal(trust.ratioOf("c"), 1, `${probedMs} and ${sessionMs}`);
  }
  trust.judge("c", { probedMs: 20, sessionMs: 30.1 });
  t.equal(trust.ratioOf("c"), 0.5);
});

t.test("trust is regained slowly, and whole in the end, when it takes no place any more", async (t) => {
  const trust = new ProbeTrust(10);
  trust.judge("c", LIE);
  for (let count = 0; count < 5; count += 1) trust.judge("c", TRUTH);
  t.notOk(trust.isBelieved("c"), "five truths are less than a lie");
  trust.judge("c", TRUTH);
  t.ok(trust.isBelieved("c"));
  for (let count = 0; count < 30; count += 1) trust.judge("c", TRUTH);
  t.equal(trust.ratioOf("c"), 1);
  t.equal(trust.clientCount, 0);
});

t.test("whatever is judged, trust is above 0, to 1, and of so many clients", async (t) => {
  const milliseconds = fc.double({ min: 0, max: 1000, noNaN: true });
  const judgements = fc.array(fc.record({ client: fc.nat(9), probedMs: milliseconds, sessionMs: milliseconds }), {
    maxLength: 200,
  });
  const isBounded = fc.property(judgements, (list) => {
    const trust = new ProbeTrust(5);
    return list.every(({ client, ...judgement }) => {
      trust.judge(`c${client}`, judgement);
      const ratio = trust.ratioOf(`c${client}`);
      return ratio > 0 && ratio <= 1 && trust.clientCount <= 5;
    });
  });
  t.doesNotThrow(() => fc.assert(isBounded));
});
