/** The example of docs/vr.md as it stands there, in a real browser against a real session process. */
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import Type from "typebox";
import { Value } from "typebox/value";
import { bundleLibrary } from "#client/bundle.ts";
import { until } from "#test/simulation/until.ts";
import { createAgentStarter, startAgent } from "./agents.ts";
import { openPageWorld } from "./page-world.ts";

const WAIT_MS_MAX = 30_000;
const DOCUMENT = join(import.meta.dirname, "../../docs/vr.md");
/** The example keeps its session to itself: the test sees it through the module that the example imports. */
const WATCHED = `
  import { createSession as create, isHeadsetThere } from "./library.js";
  export { isHeadsetThere };
  window.told = [];
  export const createSession = async (options) => {
    const session = await create(options);
    for (const event of ["frame", "pause", "resume", "end"]) {
      session.on(event, (detail) => window.told.push({ event, detail }));
    }
    session.on("frame", () => { throw new Error("a page's mistake"); });
    window.create = create;
    window.session = session;
    return session;
  };`;

const folder = await mkdtemp(join(tmpdir(), "perigee-client-library-"));
const [, example = ""] = /```html\n(.*?)```/s.exec(await readFile(DOCUMENT, "utf8")) ?? [];
await bundleLibrary(folder);
await writeFile(join(folder, "library.js"), await readFile(join(folder, "perigee.js")));
await writeFile(join(folder, "perigee.js"), WATCHED);
await writeFile(join(folder, "index.html"), example);
const agent = await startAgent("agent-1", await createAgentStarter());
const { services, page, errors } = await openPageWorld(t, {
  folder,
  webrtc: [agent],
  height: 420,
  waitMs: WAIT_MS_MAX,
});
await page.goto(services.pageUrl);
const framesAfter = (count: number) =>
  page.waitForFunction(`window.told?.filter(({ event }) => event === "frame").length > ${count}`);

t.test("the example shows a session, and each frame says where its time went", async (t) => {
  await framesAfter(5);
  t.match(await page.textContent("#words"), /^Running\. Agent agent-1, pool near\./);
  const part = Type.Number({ minimum: 0 });
  const parts = { networkMs: part, waitMs: part, renderMs: part, encodeMs: part, decodeMs: part };
  const schema = Type.Object({ poseId: Type.Integer({ minimum: 1 }), remotePathMs: part, ...parts });
  const seen = await page.evaluate(`told.findLast(({ event }) => event === "frame").detail`);
  const { poseId: _poseId, remotePathMs, ...of } = Value.Parse(schema, Value.Clean(schema, seen));
  const sum = Object.values(of).reduce((total, ms) => total + ms, 0);
  t.ok(Math.abs(sum - remotePathMs) < 0.001, `${sum} of ${remotePathMs} ms`);
  t.ok(errors.every((error) => /a page's mistake/.test(error)) && errors.length > 0, "a listener's error is told");
});

t.test("paused it draws nothing and keeps its session; then it goes on", async (t) => {
  await page.click("#pause");
  await page.waitForFunction(`document.querySelector("#pause").textContent === "Resume"`);
  const drawn = `new Promise((resolve) => requestAnimationFrame(() => {
    const { framesDrawn } = session.statistics();
    const { posesSent } = session.statistics();
    let frames = 0;
    const count = () => {
      if ((frames += 1) < 20) return requestAnimationFrame(count);
      const now = session.statistics();
      resolve({ drawn: now.framesDrawn - framesDrawn, poses: now.posesSent - posesSent, frames });
    };
    requestAnimationFrame(count);
  }))`;
  const schema = Type.Object({ drawn: Type.Integer(), poses: Type.Integer(), frames: Type.Integer() });
  const paused = Value.Parse(schema, await page.evaluate(drawn));
  t.equal(paused.drawn, 0, "the canvas stands still");
  t.ok(paused.poses < paused.frames / 2, `${paused.poses} poses in ${paused.frames} frames of the display`);
  const sent = Number(await page.evaluate("session.statistics().posesSent"));
  await page.waitForFunction(`session.statistics().posesSent > ${sent + 2}`);
  t.match(await page.evaluate("session.state()"), { phase: "running", attempt: 1 }, "a pose now and then keeps it");
  const before = Number(await page.evaluate("told.length"));
  await page.click("#pause");
  await framesAfter(before + 5);
  const events = await page.evaluate(`told.filter(({ event }) => event !== "frame")`);
  t.match(events, [{ event: "pause", detail: "asked" }, { event: "resume" }]);
  t.match(await page.textContent("#pause"), "Pause");
});

t.test("a page that nobody sees pauses by itself, and goes on when it is seen", async (t) => {
  const see = (isSeen: boolean) =>
    page.evaluate(`(() => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => ${!isSeen} });
      document.dispatchEvent(new Event("visibilitychange"));
      return told.filter(({ event }) => event !== "frame").slice(2);
    })()`);
  t.match(await see(false), [{ event: "pause", detail: "hidden" }]);
  t.match(await see(true), [{ event: "pause" }, { event: "resume" }]);
});

t.test("an option that is wrong is named", async (t) => {
  const said = await page.evaluate(
    `create({ app: "hall", tier: "best" }).catch(({ code, message }) => code + " " + message)`,
  );
  t.match(said, /^config-invalid createSession: .*tier/);
});

t.test("a canvas that gives no WebGL2 is told by its code, and nothing waits for the person's next act", async (t) => {
  const said = await page.evaluate(`(async () => {
    const canvas = document.createElement("canvas");
    canvas.getContext("2d");
    const settings = await (await fetch("config.json")).json();
    const waiting = [];
    const listen = window.addEventListener;
    window.addEventListener = (type, listener, options) => {
      if (type === "click") waiting.push(options.signal);
      return listen.call(window, type, listener, options);
    };
    const words = await create({ ...settings, canvas }).catch(({ code, message }) => code + " " + message);
    window.addEventListener = listen;
    return { words, waiting: waiting.map(({ aborted }) => aborted) };
  })()`);
  t.match(said, { words: /^browser-unfit .*WebGL2/, waiting: [true] });
});

t.test("ended it gives its slot back, and tells it last", async (t) => {
  await page.evaluate("session.end()");
  t.match(await page.evaluate("[session.state().phase, told.at(-1).event]"), ["ended", "end"]);
  const isEnd = ({ call }: { readonly call: string }) => call === "DELETE /v1/sessions/session-1";
  await until(() => services.calls.some(isEnd), "the scheduler was told");
  t.same(services.faults, []);
});

t.test("ended it lets go of the canvas and of the last picture", async (t) => {
  const head = await page.evaluate("session.head()");
  await page.focus("#view");
  await page.keyboard.press("ArrowRight");
  t.same(await page.evaluate("session.head()"), head, "the keys are the page's again");
  t.equal(await page.evaluate("session.readPicture()"), undefined);
});
