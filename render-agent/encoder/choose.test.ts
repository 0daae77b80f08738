/** Which adapter and encoder a machine gets, by lists of what machines have; and what each is told to install. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { type AdapterKind, chooseAdapter } from "../renderer/choose-adapter.ts";
import { chooseEncoder, encodersToTry, foveationAdvice, type TriedEncoder } from "./choose-encoder.ts";
import {
  ENCODER_SETTINGS,
  ENCODERS,
  type EncoderName,
  type EncoderWish,
  type VideoEncoderName,
} from "./encoder-settings.ts";

const text = Type.String();
const adapter = Type.Object({ vendor: text, architecture: text, device: text, description: text });
const machine = Type.Object({
  source: text,
  adapters: Type.Array(adapter),
  deviceFiles: Type.Array(text),
  encoders: Type.Union([Type.Literal("absent"), Type.Record(text, text)]),
});
type Machine = Static<typeof machine>;

const machines = Value.Parse(
  Type.Record(text, machine),
  JSON.parse(await readFile(join(import.meta.dirname, "fixtures/machines.json"), "utf8")),
);

/** As the search does it: one after the other, up to the first that works. */
function tried(names: readonly VideoEncoderName[], encoders: Machine["encoders"]): readonly TriedEncoder[] | "absent" {
  if (encoders === "absent") return "absent";
  const results = names.map((name): TriedEncoder => {
    const result = encoders[name] ?? "it was not recorded";
    return result === "works" ? { name, works: true } : { name, works: false, reason: result };
  });
  const first = results.findIndex(({ works }) => works);
  return first < 0 ? results : results.slice(0, first + 1);
}

function choose({ adapters, deviceFiles, encoders }: Machine, wish: EncoderWish = "auto") {
  const graphics = chooseAdapter({ adapters, deviceFiles });
  if (graphics.kind === "none") return { graphics, encoding: undefined };
  const { adapterKind, adapter: chosen } = graphics;
  const found = tried(encodersToTry(adapterKind, wish), encoders);
  const encoding = chooseEncoder({ adapterKind, adapterName: chosen.description, tried: found, wish });
  return { graphics, encoding };
}

interface Expected {
  readonly adapterKind: AdapterKind;
  readonly encoder: EncoderName;
  readonly advice: readonly RegExp[];
}

const NOT_RUN = /never run on real hardware/;
const TABLE: Readonly<Record<string, Expected>> = {
  "nvidia-with-encoder": { adapterKind: "nvidia", encoder: "h264_nvenc", advice: [NOT_RUN] },
  "nvidia-without-encoder": { adapterKind: "nvidia", encoder: "libx264", advice: [/A100.*has no video encoder/] },
  "nvidia-h100": { adapterKind: "nvidia", encoder: "libx264", advice: [/H100.*has no video encoder/] },
  "nvidia-without-encoding-library": { adapterKind: "nvidia", encoder: "libx264", advice: [/libnvidia-encode/] },
  "nvidia-without-driver": {
    adapterKind: "swiftshader",
    encoder: "libx264",
    advice: [/\/dev\/nvidia0 is there and no Vulkan driver.*libnvidia-gl/, /mesa-vulkan-drivers/],
  },
  amd: { adapterKind: "amd", encoder: "h264_vaapi", advice: [NOT_RUN] },
  intel: { adapterKind: "intel", encoder: "h264_vulkan", advice: [/intel-media-va-driver/, NOT_RUN] },
  "two-gpus": { adapterKind: "nvidia", encoder: "h264_nvenc", advice: [NOT_RUN] },
  lavapipe: { adapterKind: "lavapipe", encoder: "libx264", advice: [/there is no GPU/] },
  swiftshader: { adapterKind: "swiftshader", encoder: "libx264", advice: [/mesa-vulkan-drivers/, /there is no GPU/] },
  "package-absent": {
    adapterKind: "swiftshader",
    encoder: "jpeg",
    advice: [/mesa-vulkan-drivers/, /there is no GPU/, /node-av is not installed.*JPEG.*npm ci/],
  },
};

t.test("each recorded machine gets its adapter and encoder, and hears what would be better", async (t) => {
  t.same([...Object.keys(TABLE), "none"].toSorted(), Object.keys(machines).toSorted(), "every list is judged");
  for (const [name, expected] of Object.entries(TABLE)) {
    const recorded = machines[name];
    if (recorded === undefined) throw new Error(`no list ${name}`);
    const { graphics, encoding } = choose(recorded);
    t.match(graphics, { adapterKind: expected.adapterKind }, name);
    t.match(encoding, { encoder: expected.encoder }, name);
    const advice = [graphics, encoding].flatMap((one) => (one?.kind === "chosen" ? one.advice : []));
    t.equal(advice.length, expected.advice.length, `${name}: ${advice.join(" | ")}`);
    for (const [at, pattern] of expected.advice.entries()) t.match(advice[at], pattern, name);
    const isSoftware = graphics.kind === "chosen" && graphics.isSoftware;
    t.equal(isSoftware, ["lavapipe", "swiftshader"].includes(expected.adapterKind), name);
  }
});

t.test("a machine with nothing says what to install, driver and software", async (t) => {
  const { none } = machines;
  t.match(none && choose(none).graphics, { kind: "none", message: /mesa-vulkan-drivers.*SwiftShader.*npm ci/ });
  const withFile = none && choose({ ...none, deviceFiles: ["/dev/dri/renderD128"] }).graphics;
  t.match(withFile, { kind: "none", message: /\/dev\/dri\/renderD128 is there.*Vulkan driver of the GPU/ });
});

t.test("software is never taken before a GPU, in whatever order they are listed", async (t) => {
  const all = Object.values(machines).flatMap(({ adapters }) => adapters);
  for (const _ of all) {
    all.push(...all.splice(0, 1));
    const choice = chooseAdapter({ adapters: all, deviceFiles: [] });
    t.match(choice, { kind: "chosen", isSoftware: false, advice: [] });
    const firstGpu = all.find(({ vendor }) => !["mesa", "google"].includes(vendor));
    t.equal(choice.kind === "chosen" && choice.adapter, firstGpu, "and of GPUs the first");
  }
});

t.test("an encoder that was named is not replaced in silence", async (t) => {
  const { amd, "nvidia-without-encoder": a100, "package-absent": absent } = machines;
  t.match(amd && choose(amd, "libx264").encoding, { kind: "chosen", encoder: "libx264", advice: [] });
  t.match(amd && choose(amd, "jpeg").encoding, { kind: "chosen", encoder: "jpeg", advice: [] });
  t.match(a100 && choose(a100, "h264_nvenc").encoding, { kind: "refused", message: /h264_nvenc.*unsupported device/ });
  t.match(absent && choose(absent, "libx264").encoding, {
    kind: "refused",
    message: /node-av is not installed: npm ci/,
  });
  t.match(absent && choose(absent, "jpeg").encoding, { kind: "chosen", encoder: "jpeg" });
});

t.test("where no encoder of FFmpeg works, pictures go as JPEG, and it is said", async (t) => {
  const choice = chooseEncoder({
    ...{ adapterKind: "lavapipe", adapterName: "llvmpipe", wish: "auto" },
    tried: [{ name: "libx264", works: false, reason: "node-av is built without libx264" }],
  });
  t.match(choice, { kind: "chosen", encoder: "jpeg", advice: [/built without libx264/, /JPEG/] });
});

t.test("an encoder that cannot foveate says so where it is asked to", async (t) => {
  for (const name of ENCODERS) {
    t.same(foveationAdvice(name, "off"), [], name);
    for (const foveation of ["fixed", "gaze"] as const) {
      const advice = foveationAdvice(name, foveation);
      if (name === "libx264") t.same(advice, [], name);
      else t.match(advice, [new RegExp(`^${name} encodes all parts of a picture alike.*libx264 can`)], name);
    }
  }
});

t.test("only what was run is not called untried", async (t) => {
  const wereRun = Object.entries(ENCODER_SETTINGS).filter(([, { wasRun }]) => wasRun);
  t.same(
    wereRun.map(([name]) => name),
    ["libx264"],
  );
});
