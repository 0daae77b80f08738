/** Starts session processes on the best Vulkan that works here: where a GPU cannot be opened, on the next choice from then on. */
import { isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { EncoderWish } from "../encoder/encoder-settings.ts";
import type { Foveation } from "../encoder/foveation.ts";
import { type Environment, findVulkan, prepareVulkan } from "../renderer/software-vulkan.ts";
import type { Equipment } from "./messages.ts";
import type { StartProcess } from "./session-process.ts";
import { startSessionProcess } from "./session-process.ts";

export interface StarterOptions {
  readonly clock: Clock;
  readonly cacheDir: string;
  /** Goes to every process; names drivers where an operator has set them. */
  readonly environment: Environment;
  readonly encoder: EncoderWish;
  readonly foveation?: Foveation | undefined;
  readonly events: {
    vulkanFailed(kind: string, failure: unknown): void;
    /** Once, and when a process says something else than the one before. */
    equipped(equipment: Equipment): void;
  };
}

export async function createProcessStarter(options: StarterOptions): Promise<StartProcess> {
  const { clock, cacheDir, environment, encoder, foveation, events } = options;
  const isNamed = Object.keys(environment).some((name) => name.startsWith("VK_"));
  const choices = isNamed ? [{ kind: "device" } as const] : await findVulkan();
  let chosen = 0;
  let told: string | undefined;
  const onEquipped = (equipment: Equipment): void => {
    const saying = JSON.stringify(equipment);
    if (saying !== told) events.equipped(equipment);
    told = saying;
  };
  return async function start() {
    const index = chosen;
    const choice = choices[index] ?? { kind: "swiftshader" };
    try {
      const prepared = await prepareVulkan(choice, cacheDir);
      const means = { clock, encoder, foveation, onEquipped };
      return await startSessionProcess({ ...means, environment: { ...environment, ...prepared } });
    } catch (error) {
      const isLast = index + 1 >= choices.length;
      if (!isFailure(error, "gpu-unavailable") || isLast) throw error;
      events.vulkanFailed(choice.kind, error);
      chosen = Math.max(chosen, index + 1);
      return start();
    }
  };
}
