/** When sound begins and stops, and why there is none: told each time it changes, and the agent asked for no more than is heard. */

import t from "tap";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import type { AudioOutput } from "./audio-output.ts";
import { type AudioState, startSessionAudio } from "./session-audio.ts";

const turn = () => new VirtualClock().settle();

interface World {
  readonly missing?: string;
  readonly isWanted?: boolean;
  /** Whether the browser lets sound begin. */
  mayBegin: boolean;
  readonly isRefused?: boolean;
}

function start(world: World) {
  const [wishes, told]: [boolean[], AudioState[]] = [[], []];
  const counts = { opened: 0, suspended: 0, closed: 0 };
  const output: AudioOutput = {
    begin: async () => world.mayBegin,
    write: () => undefined,
    restAt: () => undefined,
    restart: () => undefined,
    aim: () => undefined,
    report: () => undefined,
    heardAtMs: () => 0,
    suspend() {
      counts.suspended += 1;
    },
    close() {
      counts.closed += 1;
    },
  };
  const audio = startSessionAudio(
    {
      explainMissing: async () => world.missing,
      openDecoder: () => ({ decode: () => undefined, close: () => undefined }),
      async openOutput() {
        counts.opened += 1;
        if (world.isRefused === true) throw new Error("blocked by its policy");
        return output;
      },
      wish: (isWanted) => void wishes.push(isWanted),
      onChange: (state) => void told.push(state),
    },
    world.isWanted ?? true,
  );
  return { audio, wishes, told, counts, phases: () => told.map(({ phase }) => phase) };
}

t.test("sound waits for a person, begins with the act that is allowed to, and is muted and paused", async (t) => {
  const world = { mayBegin: false };
  const { audio, wishes, counts, phases } = start(world);
  await turn();
  t.same([phases(), wishes], [["waiting-for-gesture"], []]);
  audio.acted();
  await turn();
  t.same(phases(), ["waiting-for-gesture"], "the browser does not let it");
  world.mayBegin = true;
  audio.acted();
  audio.acted();
  await turn();
  t.same([phases(), wishes, counts.opened], [["waiting-for-gesture", "on"], [true], 1]);
  audio.pause(true);
  audio.pause(false);
  audio.set(false);
  audio.set(true);
  t.same(wishes, [true, false, true, false, true]);
  t.same(phases(), ["waiting-for-gesture", "on", "off", "on"]);
  t.equal(counts.suspended, 2);
  audio.close();
  t.same([wishes.at(-1), counts.closed], [false, 1]);
});

t.test("what is not wanted opens nothing until it is", async (t) => {
  const { audio, wishes, counts, phases } = start({ mayBegin: true, isWanted: false });
  await turn();
  audio.acted();
  await turn();
  t.same([phases(), wishes, counts.opened], [["off"], [], 0]);
  audio.set(true);
  await turn();
  t.same([audio.state().phase, wishes], ["on", [true]]);
});

t.test("a browser without a decoder, a page that may not, and an agent without sound each say why", async (t) => {
  const unable = start({ mayBegin: true, missing: "this browser has no AudioDecoder" });
  await turn();
  unable.audio.acted();
  await turn();
  t.same(unable.told, [{ phase: "unavailable", because: "this browser has no AudioDecoder" }]);
  t.same([unable.wishes, unable.counts.opened], [[], 0]);
  const refused = start({ mayBegin: true, isRefused: true });
  await turn();
  refused.audio.acted();
  await turn();
  t.match(refused.audio.state(), { phase: "unavailable", because: /blocked by its policy/ });
  t.same(refused.wishes, []);
  const silent = start({ mayBegin: true });
  await turn();
  silent.audio.acted();
  await turn();
  silent.audio.agentSays(false, "the scene has no sounds");
  t.same(silent.told.at(-1), { phase: "unavailable", because: "the scene has no sounds" });
  silent.audio.agentSays(true, "");
  t.equal(silent.audio.state().phase, "on");
});
