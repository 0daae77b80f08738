/** Session processes on this machine's Vulkan, each ended with its test. */
import { join } from "node:path";
import type { Test } from "tap";
import { systemClock } from "#platform/clock.ts";
import { findVulkan, prepareVulkan } from "#render-agent/renderer/software-vulkan.ts";
import {
  type ProcessOptions,
  type SessionProcess,
  startSessionProcess,
} from "#render-agent/session/session-process.ts";

const [found = { kind: "device" as const }] = await findVulkan();
export const vulkan = found;
export const environment = await prepareVulkan(vulkan, join(import.meta.dirname, "../../.cache/vulkan"));

export async function startSession(
  t: Pick<Test, "teardown">,
  options: Partial<ProcessOptions> = {},
): Promise<SessionProcess> {
  const session = await startSessionProcess({ clock: systemClock, environment, ...options });
  t.teardown(async () => {
    session.stop("the test is over");
    await session.ended;
  });
  return session;
}
