/** The software Vulkan that npm brings, for machines without a GPU: unpacked once, named to a process by its environment. */
import { access } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { unpackTarBrotli } from "#platform/archive/unpack.ts";

/** Debian's place for Mesa's driver file; SwiftShader is slower than it. */
const LAVAPIPE = "/usr/share/vulkan/icd.d/lvp_icd.json";
const DEVICE_FILES = ["/dev/nvidia0", "/dev/dri/renderD128"];
/** SwiftShader unpacks to about 20 MB. */
const UNPACKED_BYTES_MAX = 200_000_000;

export type VulkanChoice =
  | { readonly kind: "device" }
  | { readonly kind: "lavapipe"; readonly driverFile: string }
  | { readonly kind: "swiftshader" };

/** A GPU where its device file is there, else Mesa's software driver, else SwiftShader. Pure. */
export function chooseVulkan(found: { readonly device: boolean; readonly lavapipe: boolean }): VulkanChoice {
  if (found.device) return { kind: "device" };
  return found.lavapipe ? { kind: "lavapipe", driverFile: LAVAPIPE } : { kind: "swiftshader" };
}

/** What a session's process needs in its environment before it starts. Idempotent. */
export async function prepareVulkan(cacheDir: string): Promise<Readonly<Record<string, string>>> {
  const present = await Promise.all(DEVICE_FILES.map(isThere));
  const choice = chooseVulkan({ device: present.includes(true), lavapipe: await isThere(LAVAPIPE) });
  if (choice.kind === "device") return {};
  if (choice.kind === "lavapipe") return { VK_DRIVER_FILES: choice.driverFile };
  const archive = join(
    dirname(createRequire(import.meta.url).resolve("@sparticuz/chromium")),
    "../bin/swiftshader.tar.br",
  );
  const target = join(cacheDir, "swiftshader");
  await unpackTarBrotli({ archive, target, unpackedBytesMax: UNPACKED_BYTES_MAX });
  return { LD_LIBRARY_PATH: target, VK_DRIVER_FILES: join(target, "vk_swiftshader_icd.json") };
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
