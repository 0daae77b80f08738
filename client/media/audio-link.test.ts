/** The connection of sound: offered when an agent has some, and anew, in the place of the old one, where that was lost. */
import t from "tap";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { createAudioLink } from "./audio-link.ts";

/** What of a browser's RTCPeerConnection an offer takes. */
class SimulatedPeer extends EventTarget {
  static readonly made: SimulatedPeer[] = [];
  connectionState: RTCPeerConnectionState = "new";
  readonly iceGatheringState = "complete";
  readonly localDescription = { sdp: "v=0" };

  constructor() {
    super();
    SimulatedPeer.made.push(this);
  }

  createDataChannel(): EventTarget {
    return new EventTarget();
  }

  async setLocalDescription(): Promise<void> {}

  close(): void {
    this.connectionState = "closed";
  }
}

const THERE = { type: "audio-state", isThere: true, because: "" } as const;

t.test("one that was lost is closed and offered anew with the next wish; one that stands is kept", async (t) => {
  Object.assign(globalThis, { RTCPeerConnection: SimulatedPeer });
  t.teardown(() => Reflect.deleteProperty(globalThis, "RTCPeerConnection"));
  const said: string[] = [];
  const link = createAudioLink({
    ...{ clock: new VirtualClock(), iceServers: [] },
    say: ({ type }) => void said.push(type),
    onAudio() {},
  });
  const take = async (): Promise<void> => {
    link.take(THERE);
    await new Promise(setImmediate);
  };
  await take();
  await take();
  t.same(said, ["audio-offer"]);
  const [first] = SimulatedPeer.made;
  if (first !== undefined) first.connectionState = "failed";
  await take();
  t.same(said, ["audio-offer", "audio-offer"]);
  const states = () => SimulatedPeer.made.map(({ connectionState }) => connectionState);
  t.same(states(), ["closed", "new"], "a browser keeps one that is not closed");
  link.close();
  await take();
  t.same(states(), ["closed", "closed"]);
});
