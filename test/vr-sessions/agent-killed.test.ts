/** A session whose agent is killed: its client hears of it from the session's process, which does not outlive that. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import t from "tap";
import { findVulkan, prepareVulkan } from "#render-agent/renderer/software-vulkan.ts";
import type { HeldSession, SessionHeld } from "#test/render-agent/holding-agent.ts";
import { patiently } from "#test/render-agent/patience.ts";
import { offerViewer } from "#test/render-agent/viewer.ts";

const ROOT = join(import.meta.dirname, "../..");

t.test("the client of an agent that is killed is told at once, and nothing is left of the session", async (t) => {
  const [vulkan = { kind: "device" as const }] = await findVulkan();
  const agent = fork(join(ROOT, "test/render-agent/holding-agent.ts"), {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  t.teardown(() => agent.kill("SIGKILL"));
  await using viewer = await offerViewer();
  const held: Promise<SessionHeld[]> = once(agent, "message");
  agent.send({
    environment: await prepareVulkan(vulkan, join(ROOT, ".cache/vulkan")),
    setup: {
      renderClass: { name: "tiny", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 },
      detail: 0.3,
      sceneFile: join(ROOT, "deploy/one-machine/sample/scene/hall.json"),
      media: { bindAddress: "127.0.0.1", port: 0 },
    },
    offerSdp: viewer.offerSdp,
  } satisfies HeldSession);
  const [session] = await held;
  viewer.answer(session?.answerSdp ?? "");
  await patiently(() => viewer.received.frames.length > 0, "frames");
  agent.kill("SIGKILL");
  await patiently(() => viewer.received.control.some(({ type }) => type === "session-end"), "the end is told");
  t.match(viewer.received.control.at(-1), { type: "session-end", reason: "agent-gone" });
  await patiently(() => !isAlive(session?.pid ?? 0), "the session's process is gone");
  await viewer.closed;
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
