/** A real browser's end of a session over several connections: it offers those that are asked for, and tells what was lost. */
import t from "tap";
import { type ControlMessage, STRIPES_MAX } from "#contracts/media/control.ts";
import { systemClock } from "#platform/clock.ts";
import { startUdpLink } from "#platform/links/udp-link.ts";
import { systemRandom } from "#platform/random.ts";
import { acceptOffer } from "#render-agent/transport/webrtc.ts";
import { freeUdpPort } from "#test/render-agent/free-udp-port.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { openFramesPage } from "./frames-page.ts";

const FRAME_BYTES = 12_000;
const FRAME_MS = 33;
/** So that a loss is seen soon. */
const LOSS_RATIO = 0.05;

t.test("frames come whole by several connections through a lossy link; one that is lost is not missed", async (t) => {
  const listen = { host: "127.0.0.1", port: 0 };
  const port = await freeUdpPort();
  const sources = { clock: systemClock, random: systemRandom };
  const link = await startUdpLink({ listen, target: { host: "127.0.0.1", port }, rttMs: 10, ...sources });
  t.teardown(() => link[Symbol.asyncDispose]());
  const page = await openFramesPage({ connectionsMax: STRIPES_MAX });
  t.teardown(() => page[Symbol.asyncDispose]());
  const reports: ControlMessage[] = [];
  let invalid = 0;
  const { answerSdp, transport } = await acceptOffer(
    page.offerSdp,
    { bindAddress: "127.0.0.1", port, advertise: { address: "127.0.0.1", portOffset: link.address.port - port } },
    {
      onPose: () => undefined,
      onControl: (message) => void (message.type === "loss-report" && reports.push(message)),
      onClosed: () => undefined,
      onInvalid() {
        invalid += 1;
      },
    },
    sources,
  );
  t.teardown(() => transport.close());
  await page.open(answerSdp);
  let frameNumber = 0;
  using _sending = systemClock.every(FRAME_MS, () => {
    if (!transport.takesFrame()) return;
    frameNumber += 1;
    transport.sendFrame(frameNumber, new Uint8Array(FRAME_BYTES).fill(frameNumber));
  });
  const areConnected = async (connections: number) =>
    (await page.seen()).states.filter((state) => state === "connected").length >= connections;
  await patiently(() => areConnected(3), "three connections at least");
  link.set({ rttMs: 10, lossRatio: LOSS_RATIO });
  const told = () => reports.some((report) => report.type === "loss-report" && report.fragmentsLost > 0);
  await patiently(async () => told() && (await page.seen()).repaired > 0, "losses are told and repaired");
  await page.drop(1);
  const { frames } = await page.seen();
  await patiently(async () => (await page.seen()).frames > frames + 20, "frames go on");
  t.match(await page.seen(), { wrong: 0, invalid: 0, closed: [] });
  t.equal(invalid, 0);
  await page.leave();
  await patiently(async () => (await page.seen()).states.every((state) => state === "closed"), "all are closed");
});
