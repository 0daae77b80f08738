/** Opens the GPU of this process (Dawn): a real adapter or software Vulkan, the same code for both. */
import { create, globals } from "webgpu";
import { Failure } from "#domain/failure.ts";
import { type AdapterKind, chooseAdapter } from "./choose-adapter.ts";
import { findDeviceFiles } from "./software-vulkan.ts";

export interface Gpu extends Disposable {
  readonly device: GPUDevice;
  readonly adapterName: string;
  readonly adapterKind: AdapterKind;
  /** What to install where a better adapter could be there. */
  readonly advice: readonly string[];
  /** Software Vulkan: every pixel and vertex is paid for in CPU time. */
  readonly software: boolean;
  readonly lost: Promise<GPUDeviceLostInfo>;
}

/** Long enough to leave the core to the rasteriser's threads, short against a frame. */
const POLL_WAIT_MS = 0.15;

/** Throws `gpu-unavailable`. */
export async function openGpu(): Promise<Gpu> {
  Object.assign(globalThis, globals);
  calmPolling();
  const gpu = create([]);
  const choice = chooseAdapter({ adapters: await listAdapters(gpu), deviceFiles: await findDeviceFiles() });
  if (choice.kind === "none") throw new Failure("gpu-unavailable", choice.message);
  const { adapterKind, isSoftware, advice } = choice;
  const { description, device: model, vendor, adapter } = choice.adapter;
  const device = await adapter.requestDevice();
  const adapterName = [description, model, vendor].find((text) => text !== "") ?? "unnamed";
  return {
    device,
    adapterName,
    adapterKind,
    advice,
    software: isSoftware,
    lost: device.lost,
    [Symbol.dispose]() {
      device.destroy();
      // Dawn stops with the last reference to its entry object: it has to outlive the device.
      void gpu;
    },
  };
}

/** WebGPU names no list: each preference gives one, often the same. */
async function listAdapters(gpu: GPU) {
  const preferences: readonly GPURequestAdapterOptions[] = [
    { powerPreference: "high-performance" },
    { powerPreference: "low-power" },
  ];
  const adapters = await Promise.all(preferences.map((preference) => gpu.requestAdapter(preference)));
  return adapters.flatMap((adapter) => {
    if (adapter === null) return [];
    const { vendor, architecture, device, description } = adapter.info;
    return [{ adapter, vendor, architecture, device, description }];
  });
}

/** Dawn polls with `setImmediate` while a promise is pending, which holds a whole core: make each poll wait. */
function calmPolling(): void {
  const immediate = globalThis.setImmediate;
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const calm = (run: (...values: unknown[]) => void, ...values: unknown[]): NodeJS.Immediate =>
    immediate(() => {
      Atomics.wait(cell, 0, 0, POLL_WAIT_MS);
      run(...values);
    });
  Object.assign(globalThis, { setImmediate: calm });
}
