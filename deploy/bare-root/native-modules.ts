/** Loads every native module that npm brings and does one small thing with each; prints a line per module. */
import { transform } from "esbuild";

const trials: Readonly<Record<string, () => Promise<string>>> = {
  async esbuild() {
    const { code } = await transform("let a: number = 1", { loader: "ts" });
    return `${code.length} bytes`;
  },
  async "node-datachannel"() {
    const { PeerConnection } = await import("node-datachannel");
    const peer = new PeerConnection("trial", { iceServers: [] });
    const described = new Promise<string>((resolve) => peer.onLocalDescription(resolve));
    peer.createDataChannel("frames");
    const offer = await described;
    peer.close();
    return `${offer.length} bytes of offer`;
  },
  async webgpu() {
    const { create } = await import("webgpu");
    return typeof create([]).requestAdapter === "function" ? "an instance" : "no instance";
  },
  async "node-av"() {
    const { Codec, FF_ENCODER_LIBX264 } = await import("node-av");
    return Codec.findEncoderByName(FF_ENCODER_LIBX264) === null ? "no libx264" : "libx264";
  },
};

let failed = 0;
for (const [name, run] of Object.entries(trials)) {
  try {
    console.log(`${name}: ${await run()};`);
  } catch (error) {
    failed += 1;
    console.log(`${name}: FAILED: ${error instanceof Error ? error.message : String(error)};`);
  }
}
process.exit(failed === 0 ? 0 : 1);
