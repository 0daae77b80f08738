/** Fragments become frames whichever connection they come by; losses are told at intervals, and only when there is something to tell. */
import t from "tap";
import type { ControlMessage } from "#contracts/media/control.ts";
import { LOSS_REPORT_MS } from "#contracts/media/control.ts";
import { cutFragments } from "#contracts/media/fragments.ts";
import { createFrameInbox } from "./frame-inbox.ts";

function receiving() {
  const frames: { bytes: number; repaired: number }[] = [];
  const said: ControlMessage[] = [];
  const state = { nowMs: 0, invalid: 0 };
  const inbox = createFrameInbox({
    clock: { monotonicMs: () => state.nowMs },
    events: {
      onFrame: (bytes, repaired) => void frames.push({ bytes: bytes.byteLength, repaired }),
      onInvalid() {
        state.invalid += 1;
      },
    },
    say: (message) => void said.push(message),
  });
  const receive = (frameNumber: number, lost: number): void => {
    for (const fragment of cutFragments(frameNumber, new Uint8Array(12_000), 0.25).slice(lost))
      inbox.addFragment(fragment);
  };
  return { inbox, frames, said, state, receive };
}

t.test("frames come whole with what was repaired, and garbage is counted", async (t) => {
  const { inbox, frames, state, receive } = receiving();
  receive(1, 0);
  receive(2, 2);
  receive(3, 4);
  inbox.addFragment(new Uint8Array(30));
  t.same(frames, [
    { bytes: 12_000, repaired: 0 },
    { bytes: 12_000, repaired: 2 },
  ]);
  t.equal(state.invalid, 1);
});

t.test("losses before any repair are told, each once, not more often than is agreed", async (t) => {
  const { said, state, receive } = receiving();
  for (let frame = 1; frame <= 6; frame += 1) receive(frame, frame === 1 ? 2 : 0);
  t.same(said, [], "not before the interval");
  state.nowMs = LOSS_REPORT_MS;
  receive(7, 0);
  t.same(said, [{ type: "loss-report", fragmentsReceived: 43, fragmentsLost: 2 }]);
  state.nowMs += LOSS_REPORT_MS - 1;
  receive(8, 0);
  t.equal(said.length, 1);
  state.nowMs += 1;
  receive(9, 0);
  t.match(said[1], { fragmentsLost: 0 });
  t.equal(said.length, 2);
});
