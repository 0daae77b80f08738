/** Opens the GPU of this process (Dawn): a real adapter or software Vulkan, the same code for both. */
import { create, globals } from "webgpu";
import { Failure } from "#domain/failure.ts";

export interface Gpu extends Disposable {
  readonly device: GPUDevice;
  readonly adapterName: string;
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
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) {
    throw new Failure("gpu-unavailable", "no WebGPU adapter: install a Vulkan driver, or leave SwiftShader to npm ci");
  }
  const device = await adapter.requestDevice();
  const { description, device: model, vendor } = adapter.info;
  const adapterName = [description, model, vendor].find((text) => text !== "") ?? "unnamed";
  return {
    device,
    adapterName,
    software: /llvmpipe|swiftshader/i.test(`${description} ${model} ${vendor}`),
    lost: device.lost,
    [Symbol.dispose]() {
      device.destroy();
      // Dawn stops with the last reference to its entry object: it has to outlive the device.
      void gpu;
    },
  };
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
