/** Loaded into a session's process by --import: signals lose its GPU device, as when a driver is reset, or have it never finish. */
import { globals } from "webgpu";

Object.assign(globalThis, globals);
const opened = new Set<GPUDevice>();
const adapter = GPUAdapter.prototype;
const { requestDevice } = adapter;

adapter.requestDevice = async function request(this: GPUAdapter, ...wish: Parameters<typeof requestDevice>) {
  const device = await requestDevice.apply(this, wish);
  opened.add(device);
  return device;
};

process.on("SIGUSR2", () => {
  for (const device of opened) device.destroy();
});

process.on("SIGHUP", () => {
  GPUBuffer.prototype.mapAsync = () => new Promise(() => undefined);
});
