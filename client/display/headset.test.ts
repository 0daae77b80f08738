/** Entering a headset by a WebXR of the test's own: who cannot be shown anything there is not left in it. */
import t from "tap";
import { enterHeadset } from "./headset.ts";
import type { XrSession } from "./webxr.ts";

class StandInSession extends EventTarget implements XrSession {
  readonly inputSources = [];
  isOver = false;
  hasSpace = true;

  updateRenderState(): void {}

  requestReferenceSpace(): Promise<EventTarget> {
    return this.hasSpace ? Promise.resolve(new EventTarget()) : Promise.reject(new Error("no space"));
  }

  requestAnimationFrame(): number {
    return 1;
  }

  async end(): Promise<void> {
    if (this.isOver) throw new Error("it has ended already");
    this.isOver = true;
    this.dispatchEvent(new Event("end"));
  }
}

function entering(session: StandInSession) {
  const xr = { requestSession: async () => session, isSessionSupported: async () => true };
  Object.defineProperty(globalThis, "navigator", { configurable: true, value: { xr } });
  Object.defineProperty(globalThis, "window", { configurable: true, value: { XRWebGLLayer: class {} } });
  const leaving = new AbortController();
  const told: string[] = [];
  const options = { gl: Object.create(null), onFrame: () => undefined, onEnd: () => void told.push("left") };
  return { leaving, told, enter: () => enterHeadset({ ...options, signal: leaving.signal }) };
}

t.test("a headset that gives no place to look from is left again, and never counted as entered", async (t) => {
  const session = new StandInSession();
  session.hasSpace = false;
  const { enter, told } = entering(session);
  await t.rejects(enter(), { code: "headset-unavailable", message: /no space/ });
  t.ok(session.isOver);
  t.same(told, []);
});

t.test("a session that ends leaves the headset", async (t) => {
  const session = new StandInSession();
  const { enter, leaving, told } = entering(session);
  await enter();
  leaving.abort();
  t.ok(session.isOver);
  t.same(told, ["left"]);
});

t.test("one that has ended before it was entered is left at once", async (t) => {
  const session = new StandInSession();
  const { enter, leaving, told } = entering(session);
  const entered = enter();
  leaving.abort();
  await t.rejects(entered, { code: "headset-unavailable" });
  t.ok(session.isOver);
  t.same(told, []);
});

t.test("leaving twice is leaving once, also where the person left first", async (t) => {
  for (const isByPerson of [true, false]) {
    const session = new StandInSession();
    const { enter, told } = entering(session);
    const headset = await enter();
    if (isByPerson) await session.end();
    await headset.end();
    await headset.end();
    t.same(told, ["left"], isByPerson ? "by the headset's button" : "by the page");
  }
});
