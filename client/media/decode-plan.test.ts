/** No frame enters the decoder that it could not decode, and a key frame is asked for, not too often. */
import fc from "fast-check";
import t from "tap";
import {
  BEFORE_FIRST_FRAME,
  type DecodeState,
  KEY_REQUEST_INTERVAL_MS,
  planDecode,
  planRestart,
} from "./decode-plan.ts";

const idle = { nowMs: 0, decodeQueue: 0 };
const after = (lastNumber: number): DecodeState => ({ ...BEFORE_FIRST_FRAME, lastNumber, waitsForKey: false });

t.test("a session begins with a key frame, and one is asked for when another comes first", async (t) => {
  t.match(planDecode(BEFORE_FIRST_FRAME, { frameNumber: 7, key: true }, idle), { decision: { kind: "decode" } });
  const plan = planDecode(BEFORE_FIRST_FRAME, { frameNumber: 7, key: false }, idle);
  t.match(plan, { decision: { kind: "drop", because: "waits-for-key" }, requestsKey: true });
});

t.test("after a gap only a key frame is decoded; late frames are dropped without a word", async (t) => {
  const gap = planDecode(after(4), { frameNumber: 6, key: false }, idle);
  t.match(gap, { decision: { kind: "drop", because: "gap" }, requestsKey: true, framesMissed: 1 });
  t.match(planDecode(gap.state, { frameNumber: 7, key: false }, idle), { decision: { because: "waits-for-key" } });
  t.match(planDecode(gap.state, { frameNumber: 7, key: true }, idle), { state: { waitsForKey: false } });
  t.match(planDecode(after(4), { frameNumber: 4, key: true }, idle), {
    decision: { because: "late" },
    requestsKey: false,
  });
});

t.test("a decoder that is behind gets nothing, not even a key frame, until it has caught up", async (t) => {
  const plan = planDecode(after(4), { frameNumber: 5, key: true }, { nowMs: 0, decodeQueue: 2 });
  t.match(plan, { decision: { because: "decoder-behind" }, state: { waitsForKey: true } });
});

t.test("key frames are asked for at intervals", async (t) => {
  const first = planRestart(after(4), 1000);
  t.ok(first.requestsKey);
  t.notOk(planRestart(first.state, 1000 + KEY_REQUEST_INTERVAL_MS - 1).requestsKey);
  t.ok(planRestart(first.state, 1000 + KEY_REQUEST_INTERVAL_MS).requestsKey);
});

t.test("whatever arrives, what is decoded is decodable: a key frame or the successor of the one before", async (t) => {
  const arrival = fc.record({
    frameNumber: fc.integer({ min: 1, max: 40 }),
    key: fc.boolean(),
    decodeQueue: fc.nat({ max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(arrival, { maxLength: 40 }), (arrivals) => {
      let state = BEFORE_FIRST_FRAME;
      let decoded = 0;
      for (const [at, { decodeQueue, ...frame }] of arrivals.entries()) {
        const plan = planDecode(state, frame, { nowMs: at * 10, decodeQueue });
        if (plan.decision.kind === "decode") {
          t.ok(frame.key || frame.frameNumber === decoded + 1, `frame ${frame.frameNumber} after ${decoded}`);
          decoded = frame.frameNumber;
        }
        state = plan.state;
      }
    }),
  );
});
