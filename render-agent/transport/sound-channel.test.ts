/** The connection of a session's sound: nothing of it outlives the session's own. */
import t from "tap";
import { AUDIO_CHANNEL } from "#contracts/media/control.ts";
import { systemClock } from "#platform/clock.ts";
import { offerPeer } from "./offered-peer.ts";
import { SoundChannel } from "./sound-channel.ts";

t.test("an offer that was on its way when the session's connection ended is not answered", async (t) => {
  const peer = await offerPeer([{ label: AUDIO_CHANNEL, isReliable: false }]);
  t.teardown(() => peer.close());
  const closing = new AbortController();
  const said: string[] = [];
  const sound = new SoundChannel({
    media: { bindAddress: "127.0.0.1", port: 0 },
    clock: systemClock,
    say: ({ type }) => said.push(type) > 0,
    onInvalid: () => void said.push("invalid"),
    signal: closing.signal,
  });
  closing.abort();
  await sound.take(peer.offerSdp);
  t.same(said, []);
});
