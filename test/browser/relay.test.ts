/** A real browser that can send to nobody but a TURN server: a session's frames come by it, over further connections too. */
import t from "tap";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { acceptOffer } from "#render-agent/transport/webrtc.ts";
import { startTurnServer, turnIsMissing } from "#test/ice/turn-server.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { testFolder } from "#test/test-folder.ts";
import { openFramesPage } from "./frames-page.ts";

const SECRET = "shared-with-the-relay";
const FRAME_BYTES = 12_000;
const FRAME_MS = 33;
const missing = turnIsMissing();

t.test("frames come by the relay alone, by several connections", { skip: missing ?? false }, async (t) => {
  await using relay = await startTurnServer(testFolder(t), SECRET);
  await using page = await openFramesPage({ connectionsMax: 2, relays: relay.iceServers(SECRET) });
  t.match(page.offerSdp, / typ relay/);
  t.notMatch(page.offerSdp, / typ (host|srflx)/);
  const { answerSdp, transport } = await acceptOffer(
    page.offerSdp,
    { bindAddress: "127.0.0.1", port: 0 },
    {
      onPose: () => undefined,
      onControl: () => undefined,
      onClosed: () => undefined,
      onInvalid: () => t.fail("a message that is none"),
    },
    { clock: systemClock, random: systemRandom },
  );
  t.teardown(() => transport.close());
  await page.open(answerSdp);
  let frameNumber = 0;
  using _sending = systemClock.every(FRAME_MS, () => {
    if (!transport.takesFrame()) return;
    frameNumber += 1;
    transport.sendFrame(frameNumber, new Uint8Array(FRAME_BYTES).fill(frameNumber));
  });
  const connected = async () => (await page.seen()).states.filter((state) => state === "connected").length;
  await patiently(async () => (await connected()) === 2, "a second connection by the relay");
  const { frames } = await page.seen();
  await patiently(async () => (await page.seen()).frames > frames + 10, "frames");
  t.match(await page.seen(), { wrong: 0, invalid: 0, closed: [] });
  await page.leave();
});
