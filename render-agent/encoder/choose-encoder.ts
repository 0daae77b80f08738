/** Which encoder a session's pictures go through, and what to install where a better one could be there. Pure. */
import type { AdapterKind } from "../renderer/choose-adapter.ts";
import {
  ENCODER_SETTINGS,
  type EncoderName,
  type EncoderWish,
  VIDEO_ENCODERS,
  type VideoEncoderName,
} from "./encoder-settings.ts";
import type { Foveation } from "./foveation.ts";

/** What trying to encode a picture came to. */
export interface TriedEncoder {
  readonly name: VideoEncoderName;
  readonly works: boolean;
  /** Of one that does not. */
  readonly reason?: string;
}

export interface FoundEncoders {
  readonly adapterKind: AdapterKind;
  readonly adapterName: string;
  /** In the order of `encodersToTry`, up to the first that works; `absent` without the package node-av. */
  readonly tried: readonly TriedEncoder[] | "absent";
  readonly wish: EncoderWish;
}

export type EncoderChoice =
  | { readonly kind: "chosen"; readonly encoder: EncoderName; readonly advice: readonly string[] }
  | { readonly kind: "refused"; readonly message: string };

const BY_ADAPTER: Readonly<Record<AdapterKind, readonly VideoEncoderName[]>> = {
  nvidia: ["h264_nvenc", "h264_vulkan", "libx264"],
  amd: ["h264_vaapi", "h264_vulkan", "libx264"],
  intel: ["h264_vaapi", "h264_vulkan", "libx264"],
  other: ["h264_vulkan", "libx264"],
  lavapipe: ["libx264"],
  swiftshader: ["libx264"],
};

/** NVIDIA's support matrix: compute models without an encoder. */
const WITHOUT_ENCODER = /\b(A100|A30|A800|H100|H200|H800|GH200|GB?200|B100)\b/;

const PACKAGE_ABSENT =
  "the optional package node-av is not installed, so pictures go as JPEG: several times the bits; npm ci without --omit=optional brings it";

const INSTALL: Readonly<Record<VideoEncoderName, string>> = {
  libx264: "install node-av as npm ci does, whose FFmpeg has it",
  h264_nvenc: "install NVIDIA's encoding library (Debian and Ubuntu: libnvidia-encode-VERSION, or nvidia-driver)",
  h264_vaapi:
    "install the GPU's VA-API driver and libva2 (Debian: mesa-va-drivers for AMD, intel-media-va-driver for Intel)",
  h264_vulkan: "install a Vulkan driver with VK_KHR_video_encode_h264",
};

/** In the order of preference. */
export function encodersToTry(adapterKind: AdapterKind, wish: EncoderWish): readonly VideoEncoderName[] {
  if (wish === "auto") return BY_ADAPTER[adapterKind];
  return VIDEO_ENCODERS.filter((name) => name === wish);
}

export function chooseEncoder(found: FoundEncoders): EncoderChoice {
  const { wish, tried } = found;
  if (wish === "jpeg") return { kind: "chosen", encoder: "jpeg", advice: [] };
  if (wish !== "auto") return chooseWished(wish, tried);
  if (tried === "absent") return { kind: "chosen", encoder: "jpeg", advice: [PACKAGE_ABSENT] };
  const works = tried.find((one) => one.works);
  const advice = adviceOf(found, tried);
  if (works === undefined) return { kind: "chosen", encoder: "jpeg", advice: [...advice, "so pictures go as JPEG"] };
  return { kind: "chosen", encoder: works.name, advice: [...advice, ...untriedHere(works.name)] };
}

/** What an operator named is not replaced in silence. */
function chooseWished(wish: VideoEncoderName, tried: FoundEncoders["tried"]): EncoderChoice {
  if (tried === "absent") {
    return {
      kind: "refused",
      message: `encoder ${wish} is configured and the package node-av is not installed: npm ci brings it`,
    };
  }
  const one = tried.find(({ name }) => name === wish);
  if (one?.works === true) return { kind: "chosen", encoder: wish, advice: untriedHere(wish) };
  const reason = one?.reason ?? "it was not tried";
  return {
    kind: "refused",
    message: `encoder ${wish} is configured and does not work here (${reason}): ${INSTALL[wish]}, or set encoder: auto`,
  };
}

function adviceOf({ adapterName }: FoundEncoders, tried: readonly TriedEncoder[]): readonly string[] {
  const failed = tried.filter(({ works }) => !works);
  const [best] = failed;
  if (best === undefined) return [];
  if (best.name === "h264_nvenc" && WITHOUT_ENCODER.test(adapterName)) {
    return [
      `${adapterName} has no video encoder: libx264 encodes on the CPU, and nothing that is installed changes that`,
    ];
  }
  return [`${best.name} does not work here (${best.reason ?? "no reason given"}): ${INSTALL[best.name]}`];
}

/** What is asked for and not done is said. */
export function foveationAdvice(encoder: EncoderName, foveation: Foveation): readonly string[] {
  if (foveation === "off" || (encoder !== "jpeg" && ENCODER_SETTINGS[encoder].foveation !== undefined)) return [];
  return [
    `${encoder} encodes all parts of a picture alike, so pictures for headsets are not foveated: libx264 can, and foveation: off silences this`,
  ];
}

function untriedHere(name: VideoEncoderName): readonly string[] {
  if (ENCODER_SETTINGS[name].wasRun) return [];
  return [`${name} was never run on real hardware by those who made this: encoder: libx264 is the one that was`];
}
