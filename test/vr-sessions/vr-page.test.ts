/**
 * The VR page in a real browser, against real session processes and services that speak the contracts exactly: frames
 * follow the head, reprojection covers what is on its way, an agent's death is a hiccup, a headset is drawn to.
 */
import { mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import t from "tap";
import Type, { type Static, type TSchema } from "typebox";
import { Value } from "typebox/value";
import { bundleClient } from "#client/bundle.ts";
import { WIDER_RATIO } from "#client/pose/head-pose.ts";
import { RECOVERY_MS_MAX } from "#client/session/deadlines.ts";
import { systemClock } from "#platform/clock.ts";
import { describeComingUp, readComingUp } from "#test/end-to-end/vr-parts.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { until } from "#test/simulation/until.ts";
import { createAgentStarter, EYE_PIXELS, startAgent } from "../browser/agents.ts";
import { openPageWorld } from "../browser/page-world.ts";

const SCREENSHOTS = join(import.meta.dirname, "../../reports/browser");
const WAIT_MS_MAX = 30_000;
const IWER = fileURLToPath(new URL("../build/iwer.min.js", import.meta.resolve("iwer")));
/** Installs an emulated headset before the page's own scripts run. */
const HEADSET = `
  window.headset = new IWER.XRDevice(IWER.metaQuest3, { stereoEnabled: true });
  window.headset.installRuntime({ forceInstall: true });`;

/** In the page: the share of each column of the left eye's picture that is as red, and as green, as the hall's columns. */
const COLOURS = `(pixels, width, fullWidth, height) => {
  const columns = Array.from({ length: width }, () => ({ red: 0, green: 0 }));
  for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) {
    const at = (y * fullWidth + x) * 4;
    const [r, g, b] = [pixels[at], pixels[at + 1], pixels[at + 2]];
    if (r > 1.8 * g && r > 1.8 * b && r > 80) columns[x].red += 1 / height;
    if (g > 1.5 * r && g > 1.5 * b && g > 60) columns[x].green += 1 / height;
  }
  const centre = (colour) => {
    const sum = columns.reduce((total, column) => total + column[colour], 0);
    const moment = columns.reduce((total, column, x) => total + column[colour] * (x + 0.5), 0);
    return { share: sum / width, x: sum > 0 ? moment / sum / width : -1 };
  };
  return { red: centre("red"), green: centre("green") };
}`;
const centre = Type.Object({ share: Type.Number(), x: Type.Number() });
const seen = Type.Object({ poseId: Type.Integer(), red: centre, green: centre });
const count = Type.Integer({ minimum: 0 });

async function evaluate<S extends TSchema>(page: Page, schema: S, script: string): Promise<Static<S>> {
  return Value.Parse(schema, await page.evaluate(script));
}

/** Waits for a condition in the page; says what the page was doing where it does not come. */
async function waitFor(page: Page, condition: string): Promise<void> {
  await page.waitForFunction(condition).catch(async (cause: unknown) => {
    const state = await page.evaluate("JSON.stringify([perigee.state(), perigee.statistics()])").catch(String);
    throw new Error(`${condition} did not come: ${state}`, { cause });
  });
}

/** Turns the head and gives what a picture rendered from a pose after it shows to the left eye. */
async function lookAt(page: Page, wish: object): Promise<Static<typeof seen>> {
  const turn = `(perigee.setHead(${JSON.stringify(wish)}), perigee.posesSent())`;
  await waitFor(page, `perigee.lastPoseId() > ${await evaluate(page, count, turn)}`);
  return evaluate(
    page,
    seen,
    `(() => {
      const { poseId, widthPixels, heightPixels, rgba } = perigee.readPicture();
      return { poseId, ...(${COLOURS})(rgba, widthPixels / 2, widthPixels, heightPixels) };
    })()`,
  );
}

/** Turns the head and gives what the canvas shows in the very next frame, and which pose its picture was rendered from. */
function glance(page: Page, wish: object) {
  return evaluate(
    page,
    Type.Intersect([seen, Type.Object({ turnedAfterPose: Type.Integer() })]),
    `(async () => {
      const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
      await nextFrame();
      perigee.setHead(${JSON.stringify(wish)});
      const turnedAfterPose = perigee.posesSent();
      await nextFrame();
      const canvas = document.querySelector("#view");
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      const colours = (${COLOURS})(data, canvas.width, canvas.width, canvas.height);
      return { poseId: perigee.lastPoseId(), turnedAfterPose, ...colours };
    })()`,
  );
}

/** Where the red column 6 m ahead stands in the left eye's picture, 0..1, after a turn to the right. */
function redColumnAt(yawDegrees: number, tangent: number): number {
  const eyeOffsetDegrees = (Math.atan2(0.063 / 2, 6) * 180) / Math.PI;
  const angle = ((eyeOffsetDegrees - yawDegrees) * Math.PI) / 180;
  return (Math.tan(angle) / tangent + 1) / 2;
}

const SHOWN_TANGENT = 0.8;
const RENDERED_TANGENT = SHOWN_TANGENT * WIDER_RATIO;
/** Two of the picture's pixels: its column is shaded and its edges are soft. */
const TOLERANCE = 2.5 / EYE_PIXELS;
/** A column that is ahead covers twice as much at least; one that is not, nothing. */
const SEEN = 0.02;
const UNSEEN = 0.005;

const folder = await mkdtemp(join(tmpdir(), "perigee-vr-page-"));
const files = await bundleClient(folder);
t.comment(`bundled ${files.map(({ name, bytes }) => `${name} ${bytes} bytes`).join(", ")}`);
const start = await createAgentStarter();
const [first, second, websocket] = await Promise.all([
  startAgent("agent-1", start),
  startAgent("agent-2", start),
  startAgent("agent-3", await createAgentStarter("jpeg")),
]);
const { services, browser, page, errors } = await openPageWorld(t, {
  folder,
  webrtc: [first, second],
  websocket,
  height: 720,
  waitMs: WAIT_MS_MAX,
});
await page.addInitScript({ path: IWER });
await page.addInitScript(HEADSET);
await page.goto(services.pageUrl);
await waitFor(page, "window.perigee?.framesDecoded() > 10");

t.test("a session is placed by probing and shows what the head sees, turn by turn", async (t) => {
  t.match(await page.evaluate("perigee.state()"), { phase: "running", pool: "near", agent: "agent-1" });
  t.comment(describeComingUp(await readComingUp(page)));
  const ahead = await lookAt(page, { yawDegrees: 0, pitchDegrees: 0 });
  t.ok(ahead.red.share > SEEN, `the red column is ahead: ${JSON.stringify(ahead)}`);
  t.ok(ahead.green.share < UNSEEN, "and no green one");
  for (const yawDegrees of [0, 12, -12]) {
    const { red } = await lookAt(page, { yawDegrees });
    const expected = redColumnAt(yawDegrees, RENDERED_TANGENT);
    t.ok(Math.abs(red.x - expected) < TOLERANCE, `at ${yawDegrees}° it stands at ${expected}, seen at ${red.x}`);
  }
  const right = await lookAt(page, { yawDegrees: 90 });
  t.ok(right.green.share > SEEN && right.red.share < UNSEEN, `to the right is green: ${JSON.stringify(right)}`);
});

t.test("a picture on its way is turned to where the head is by then", async (t) => {
  await lookAt(page, { yawDegrees: 0 });
  const shown = await glance(page, { yawDegrees: 4 });
  t.ok(shown.poseId <= shown.turnedAfterPose, "the picture shown was rendered before the turn");
  const expected = redColumnAt(4, SHOWN_TANGENT);
  t.ok(Math.abs(shown.red.x - expected) < TOLERANCE, `expected at ${expected}, shown at ${shown.red.x}`);
});

t.test("a display that loses its WebGL context draws again when it is restored", async (t) => {
  const drawn = await evaluate(
    page,
    Type.Object({ whileLost: count, after: count }),
    `(async () => {
      const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
      const canvas = document.querySelector("#view");
      const extension = canvas.getContext("webgl2").getExtension("WEBGL_lose_context");
      const event = (name) => new Promise((resolve) => canvas.addEventListener(name, resolve, { once: true }));
      const lost = event("webglcontextlost");
      extension.loseContext();
      await lost;
      const before = perigee.statistics().framesDrawn;
      await nextFrame();
      const whileLost = perigee.statistics().framesDrawn - before;
      const restored = event("webglcontextrestored");
      extension.restoreContext();
      await restored;
      for (let frame = 0; frame < 3; frame += 1) await nextFrame();
      return { whileLost, after: perigee.statistics().framesDrawn - before };
    })()`,
  );
  t.equal(drawn.whileLost, 0);
  t.ok(drawn.after > 0, `${drawn.after} drawn`);
  t.ok((await glance(page, { yawDegrees: 0 })).red.share > SEEN, "and what it draws is the picture");
});

t.test("remote-path latency is measured with its parts, shown and reported to the edge", async (t) => {
  await waitFor(page, "document.querySelector('#parts').textContent.match(/Whole path\\d/)");
  const part = Type.Object({ p50: Type.Number({ exclusiveMinimum: 0 }), p95: Type.Number() });
  const parts = { remotePathMs: part, networkMs: part, renderMs: part, encodeMs: part, decodeMs: part };
  const latency = await evaluate(page, Type.Object(parts), "perigee.statistics().latency");
  t.ok(latency.remotePathMs.p95 >= latency.remotePathMs.p50);
  t.ok(latency.remotePathMs.p50 >= latency.renderMs.p50, "the whole is not less than a part");
  t.match(await page.textContent("#verdict"), /(within|above) the budget of 30 ms/);
  t.match(await page.getAttribute("#map", "aria-label"), /^near in lisbon serves/);
  const plotted = await evaluate(
    page,
    Type.Array(Type.Integer()),
    `(() => {
      const plot = document.querySelector("#plot");
      const { data } = plot.getContext("2d").getImageData(0, 0, plot.width, plot.height);
      const paint = document.createElement("canvas").getContext("2d");
      return ["networkMs", "renderMs"].map((part) => {
        // A browser gives a colour back as it was written; painted, it is the plot's.
        const swatch = document.createElement("i");
        swatch.style.color = "var(--" + part + ")";
        document.body.append(swatch);
        paint.fillStyle = getComputedStyle(swatch).color;
        swatch.remove();
        paint.fillRect(0, 0, 1, 1);
        const [r, g, b] = paint.getImageData(0, 0, 1, 1).data;
        let pixels = 0;
        for (let at = 0; at < data.length; at += 4)
          if (data[at] === r && data[at + 1] === g && data[at + 2] === b && data[at + 3] === 255) pixels += 1;
        return pixels;
      });
    })()`,
  );
  t.ok(
    plotted.every((pixels) => pixels > 5),
    `the largest parts are drawn: ${plotted}`,
  );
  t.equal(await page.isVisible("#kill"), false, "a page that nothing may be killed for has no button for it");
  await until(() => services.calls.some(({ call }) => call.endsWith("/reports")), "a report, each second");
});

t.test("an agent is killed and frames come again from another within three seconds", async (t) => {
  const before = await evaluate(page, count, "perigee.framesDecoded()");
  process.kill(first.session.pid, "SIGKILL");
  const killedMs = systemClock.monotonicMs();
  await waitFor(page, "perigee.state().agent === 'agent-2' && perigee.state().phase === 'running'");
  const lostAtMs = systemClock.monotonicMs() - killedMs;
  t.ok(lostAtMs < RECOVERY_MS_MAX, `running again after ${lostAtMs.toFixed(0)} ms`);
  await waitFor(page, `perigee.framesDecoded() > ${before + 5}`);
  const cameUp = await readComingUp(page);
  t.comment(describeComingUp(cameUp));
  t.equal(cameUp.because, "lost");
  t.ok((await lookAt(page, { yawDegrees: 90 })).green.share > SEEN, "and it follows the head");
  const connects = services.calls.filter(({ call }) => call === "POST /.perigee/v1/sessions");
  t.match(connects.at(-1)?.body, { resume: /^ticket-/ });
});

t.test("a headset is drawn to, from its own poses", async (t) => {
  // A headset's own view takes the page's place: what a person saw until then is kept.
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, "vr-page.png"), fullPage: true });
  await page.setViewportSize({ width: 1280, height: 860 });
  await page.screenshot({ path: join(SCREENSHOTS, "vr-page-wide.png"), fullPage: true });
  await page.setViewportSize({ width: 420, height: 720 });
  await page.click("#headset");
  await waitFor(page, "perigee.statistics().framesDrawnInHeadset > 5");
  const shown = await evaluate(
    page,
    seen,
    `(async () => {
      headset.quaternion.set(0, -Math.SQRT1_2, 0, Math.SQRT1_2);
      const from = perigee.posesSent();
      const canvas = document.querySelector("#view");
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
      let colours = { green: { share: 0 } };
      // Only within the frame that drew them can the layer's pixels be read.
      while (!(perigee.lastPoseId() > from + 1 && colours.green.share > 0)) {
        await new Promise((resolve) => requestAnimationFrame(resolve));
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
        colours = (${COLOURS})(data, Math.floor(canvas.width / 2), canvas.width, canvas.height);
      }
      return { poseId: perigee.lastPoseId(), ...colours };
    })()`,
  );
  t.ok(shown.green.share > SEEN && shown.red.share < UNSEEN, `to the right is green: ${JSON.stringify(shown)}`);
});

t.test("leaving tells the scheduler", async (t) => {
  await page.evaluate("perigee.leave()");
  await waitFor(page, "perigee.state().phase === 'ended'");
  const isEnd = ({ call }: { readonly call: string }) => call === "DELETE /v1/sessions/session-1";
  await until(() => services.calls.some(isEnd), "the end was told");
  t.equal(services.calls.filter(isEnd).length, 1);
});

t.test(
  "where there is no WebRTC, frames come over a WebSocket, as JPEG where the agent has no video encoder",
  async (t) => {
    const other = await browser.context.newPage();
    await other.addInitScript("delete window.RTCPeerConnection");
    await other.goto(services.pageUrl);
    await waitFor(other, "window.perigee?.framesDecoded() > 5");
    t.match(await other.evaluate("perigee.state()"), { transport: "websocket", agent: "agent-3" });
    // A session begins at a quarter of its rate, at which JPEG has little colour.
    const look = () => lookAt(other, { yawDegrees: 90 });
    t.ok(await untilSo("green is ahead", look, ({ green }) => green.share > SEEN));
    await other.close();
  },
);

t.test("all along every call kept its contract, and the page threw nothing", async (t) => {
  t.same(services.faults, []);
  t.same(errors, []);
});
