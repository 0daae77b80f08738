/** Which adapter a session renders on, and what to install where a better one could be there. Pure, over what was found. */

/** As WebGPU tells it (GPUAdapterInfo). */
export interface AdapterFacts {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
}

export interface FoundGraphics<A extends AdapterFacts> {
  /** In the order that the driver gave them, the fastest first. */
  readonly adapters: readonly A[];
  /** Of a GPU, as the kernel names it: a driver for it may be absent all the same. */
  readonly deviceFiles: readonly string[];
}

export const ADAPTER_KINDS = ["nvidia", "amd", "intel", "other", "lavapipe", "swiftshader"] as const;
/** In the order of preference. */
export type AdapterKind = (typeof ADAPTER_KINDS)[number];

export type AdapterChoice<A extends AdapterFacts> =
  | {
      readonly kind: "chosen";
      readonly adapter: A;
      readonly adapterKind: AdapterKind;
      readonly isSoftware: boolean;
      readonly advice: readonly string[];
    }
  | { readonly kind: "none"; readonly message: string };

const DRIVERS: Readonly<Record<string, string>> = {
  "/dev/nvidia0": "NVIDIA's driver with its Vulkan part (Debian and Ubuntu: libnvidia-gl-VERSION or nvidia-driver)",
  "/dev/dri/renderD128": "the Vulkan driver of the GPU (Debian: mesa-vulkan-drivers for AMD and Intel)",
};
const LAVAPIPE =
  "Mesa 25's software Vulkan (mesa-vulkan-drivers; on Debian 12 from bookworm-backports), which takes a quarter of the time";

export function kindOfAdapter({ vendor, architecture, device, description }: AdapterFacts): AdapterKind {
  const words = `${vendor} ${architecture} ${device} ${description}`.toLowerCase();
  if (words.includes("swiftshader")) return "swiftshader";
  if (/llvmpipe|lavapipe/.test(words)) return "lavapipe";
  if (/nvidia|geforce|quadro|tesla/.test(words)) return "nvidia";
  if (/\bamd\b|radeon|radv|advanced micro/.test(words)) return "amd";
  return words.includes("intel") ? "intel" : "other";
}

/** A GPU before software, and of GPUs the one that the driver holds for the fastest; Mesa's software before SwiftShader. */
export function chooseAdapter<A extends AdapterFacts>({ adapters, deviceFiles }: FoundGraphics<A>): AdapterChoice<A> {
  const ranked = adapters
    .map((adapter) => ({ adapter, adapterKind: kindOfAdapter(adapter) }))
    .toSorted((a, b) => rankOf(a.adapterKind) - rankOf(b.adapterKind));
  const [best] = ranked;
  const withoutDriver = deviceFiles.map((file) => adviceFor(file));
  if (best === undefined) {
    const install = [...withoutDriver, `install ${LAVAPIPE}`, "or leave SwiftShader to npm ci"].join("; ");
    return { kind: "none", message: `no WebGPU adapter: ${install}` };
  }
  const isSoftware = rankOf(best.adapterKind) > 0;
  return {
    kind: "chosen",
    ...best,
    isSoftware,
    advice: isSoftware ? softwareAdvice(best.adapterKind, withoutDriver) : [],
  };
}

/** GPUs are alike: their order is the driver's. */
function rankOf(kind: AdapterKind): number {
  if (kind === "swiftshader") return 2;
  return kind === "lavapipe" ? 1 : 0;
}

function softwareAdvice(kind: AdapterKind, withoutDriver: readonly string[]): readonly string[] {
  const faster = kind === "swiftshader" ? [`SwiftShader draws on the CPU: install ${LAVAPIPE}`] : [];
  if (withoutDriver.length > 0) return [...withoutDriver, ...faster];
  return [...faster, "there is no GPU: each pixel is drawn by the CPU, at small sizes"];
}

function adviceFor(deviceFile: string): string {
  return `${deviceFile} is there and no Vulkan driver for it: install ${DRIVERS[deviceFile] ?? "its Vulkan driver"}`;
}
