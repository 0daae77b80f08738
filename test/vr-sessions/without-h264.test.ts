/** Pages in a real browser whose video decoder was taken away, against real session processes: JPEG, or a refusal in words. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { bundleLibrary } from "#client/bundle.ts";
import { until } from "#test/simulation/until.ts";
import { createAgentStarter, startAgent } from "../browser/agents.ts";
import { openPageWorld } from "../browser/page-world.ts";

const WAIT_MS_MAX = 30_000;
const PAGE = `<!doctype html><canvas id="view" width="192" height="96"></canvas>
<script type="module">
  import { createSession } from "./perigee.js";
  const settings = await (await fetch("config.json")).json();
  const begin = async () => {
    window.session = await createSession({ ...settings, canvas: document.getElementById("view") });
    session.on("state", ({ title, detail }) => { window.words = title + ". " + detail; });
  };
  begin().catch(({ code, message }) => { window.refused = code + ": " + message; });
</script>`;
const WITHOUT_DECODER = "delete globalThis.VideoDecoder;";
/** As an agent reads poses that knows nothing of the wish. */
const UNREAD = `
  const send = RTCDataChannel.prototype.send;
  RTCDataChannel.prototype.send = function (data) {
    if (this.label === "poses") data[2] &= ~8;
    return send.call(this, data);
  };`;

const folder = await mkdtemp(join(tmpdir(), "perigee-without-h264-"));
await bundleLibrary(folder);
await writeFile(join(folder, "index.html"), PAGE);
const start = await createAgentStarter("libx264");
const agents = [await startAgent("agent-1", start), await startAgent("agent-2", start)];
const world = await openPageWorld(t, { folder, webrtc: agents, height: 200, waitMs: WAIT_MS_MAX });
const { services, browser } = world;

async function openPage(script: string) {
  const page = await browser.context.newPage();
  page.setDefaultTimeout(WAIT_MS_MAX);
  await page.addInitScript(script);
  await page.goto(services.pageUrl);
  return page;
}

t.test("a browser that decodes no video is sent JPEG, and its page is told so and why", async (t) => {
  const page = await openPage(WITHOUT_DECODER);
  await page.waitForFunction("window.session?.statistics().framesDrawn > 3");
  t.match(await page.evaluate("session.statistics()"), {
    codec: "jpeg",
    jpegBecause: "this browser decodes no video by WebCodecs",
    counts: { decoderErrors: 0 },
  });
  await page.evaluate("session.end()");
  await until(() => agents[0]?.isAlive() === false, "the agent has ended it");
  await page.close();
});

t.test("where the agent sends H.264 all the same, the session says that it cannot work, and why", async (t) => {
  const page = await openPage(`${WITHOUT_DECODER}${UNREAD}`);
  await page.waitForFunction(`window.session?.state().phase === "failed"`);
  t.equal(
    await page.evaluate("words"),
    "It cannot work like this. this browser decodes no video by WebCodecs, and the agent here sends no JPEG instead. Use another browser.",
  );
  await page.evaluate("session.end()");
  await page.close();
});

t.test("a browser that can show no picture at all is refused at once", async (t) => {
  const page = await openPage("delete globalThis.VideoDecoder; delete globalThis.VideoFrame;");
  await page.waitForFunction("window.refused");
  t.match(await page.evaluate("refused"), /^browser-unfit: this browser has no WebCodecs: use a current/);
  t.same(services.faults, []);
});
