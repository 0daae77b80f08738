/** Which Vulkan a session's process gets: a GPU's, Mesa's software driver, or the SwiftShader that npm brings; named to it by its environment. */
import { access } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Failure } from "#domain/failure.ts";
import { unpackTarBrotli } from "#platform/archive/unpack.ts";

/** Debian's place for Mesa's driver file; SwiftShader is slower than it. */
const LAVAPIPE = "/usr/share/vulkan/icd.d/lvp_icd.json";
const DEVICE_FILES = ["/dev/nvidia0", "/dev/dri/renderD128"];
/** SwiftShader unpacks to about 20 MB. */
const UNPACKED_BYTES_MAX = 200_000_000;
/** An operator's own word on drivers goes before everything. */
const DRIVER_VARIABLES = [
  "VK_DRIVER_FILES",
  "VK_ICD_FILENAMES",
  "VK_ADD_DRIVER_FILES",
  "LD_LIBRARY_PATH",
  "XDG_RUNTIME_DIR",
];

export type VulkanChoice =
  /** What the loader finds by itself. */
  | { readonly kind: "device" }
  | { readonly kind: "lavapipe"; readonly driverFile: string }
  | { readonly kind: "swiftshader" };

export type Environment = Readonly<Record<string, string>>;

/** In the order to try them: a GPU where its device file is there, else Mesa's software driver, else SwiftShader. Pure. */
export function vulkanChoices(found: {
  readonly device: boolean;
  readonly lavapipe: boolean;
}): readonly VulkanChoice[] {
  const software: VulkanChoice = found.lavapipe ? { kind: "lavapipe", driverFile: LAVAPIPE } : { kind: "swiftshader" };
  return found.device ? [{ kind: "device" }, software] : [software];
}

export async function findVulkan(): Promise<readonly VulkanChoice[]> {
  const device = (await findDeviceFiles()).length > 0;
  return vulkanChoices({ device, lavapipe: await isThere(LAVAPIPE) });
}

/** Of GPUs, whether or not there is a driver that draws on them. */
export async function findDeviceFiles(): Promise<readonly string[]> {
  const present = await Promise.all(DEVICE_FILES.map(isThere));
  return DEVICE_FILES.filter((_file, index) => present[index] === true);
}

/** What of the agent's own environment its processes get. Pure. */
export function driverVariables(environment: Readonly<Record<string, string | undefined>>): Environment {
  const given = DRIVER_VARIABLES.flatMap((name) => {
    const value = environment[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(given);
}

/** What a process needs in its environment before it starts. Idempotent. Throws `gpu-unavailable`, `archive-invalid`. */
export async function prepareVulkan(choice: VulkanChoice, cacheDir: string): Promise<Environment> {
  if (choice.kind === "device") return {};
  if (choice.kind === "lavapipe") return { VK_DRIVER_FILES: choice.driverFile };
  const target = join(cacheDir, "swiftshader");
  await unpackTarBrotli({ archive: swiftShaderArchive(), target, unpackedBytesMax: UNPACKED_BYTES_MAX });
  return { LD_LIBRARY_PATH: target, VK_DRIVER_FILES: join(target, "vk_swiftshader_icd.json") };
}

/** A production install leaves the package out: such a machine has a GPU or Mesa. */
function swiftShaderArchive(): string {
  try {
    const entry = createRequire(import.meta.url).resolve("@sparticuz/chromium");
    return join(dirname(entry), "../bin/swiftshader.tar.br");
  } catch (cause) {
    throw new Failure(
      "gpu-unavailable",
      "there is no GPU and no software Vulkan: install Mesa's (mesa-vulkan-drivers), or the package @sparticuz/chromium",
      { cause },
    );
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
