/**
 * The one record of how each H.264 encoder is set: lowest delay, no B frames, repeated parameter sets, IDR on demand.
 * Names and values are FFmpeg's own; a test holds that its encoders have each of them. Pure.
 */
import type { MediaCodec } from "#contracts/media/frame.ts";

export const VIDEO_ENCODERS = ["libx264", "h264_nvenc", "h264_vaapi", "h264_vulkan"] as const;
export type VideoEncoderName = (typeof VIDEO_ENCODERS)[number];

/** `jpeg` needs no FFmpeg. */
export const ENCODERS = [...VIDEO_ENCODERS, "jpeg"] as const;
export type EncoderName = (typeof ENCODERS)[number];

export function codecOf(name: EncoderName): MediaCodec {
  return name === "jpeg" ? "jpeg" : "h264";
}

/** What an operator asks for; `auto` is the best that works. */
export const ENCODER_WISHES = ["auto", ...ENCODERS] as const;
export type EncoderWish = (typeof ENCODER_WISHES)[number];

export interface VideoEncoderSettings {
  readonly options: Readonly<Record<string, string>>;
  /** Added where a picture is refreshed column by column and has no key frames but on demand. */
  readonly intraRefresh: Readonly<Record<string, string>>;
  /** Added where parts of a picture may be coarser than others; `undefined` for one that has no way to be told which. */
  readonly foveation: Readonly<Record<string, string>> | undefined;
  /** The slices of a picture are made by as many threads, and by one that is whole. */
  readonly hasThreads: boolean;
  readonly pixelFormat: "yuv420p" | "nv12";
  /** Where it takes its pictures from; a device has them copied to it. */
  readonly input: "memory" | "vaapi" | "vulkan";
  /** A rate that changes is taken while it runs, or by opening it again, at the cost of a key frame. */
  readonly rateChange: "running" | "reopened";
  /** On the hardware it is for, by the suite or by hand; what was not run is said at each start. */
  readonly wasRun: boolean;
}

export const ENCODER_SETTINGS: Readonly<Record<VideoEncoderName, VideoEncoderSettings>> = {
  libx264: {
    options: {
      preset: "ultrafast",
      tune: "zerolatency",
      profile: "baseline",
      "forced-idr": "1",
      "x264-params": "scenecut=0:repeat-headers=1",
    },
    intraRefresh: { "intra-refresh": "1" },
    // Without adaptive quantisation FFmpeg leaves regions out; at this strength it moves no quantiser by a step.
    foveation: { "aq-mode": "1", "aq-strength": "0.01" },
    hasThreads: true,
    pixelFormat: "yuv420p",
    input: "memory",
    rateChange: "running",
    wasRun: true,
  },
  h264_nvenc: {
    options: {
      preset: "p1",
      tune: "ull",
      profile: "baseline",
      rc: "cbr",
      delay: "0",
      zerolatency: "1",
      "forced-idr": "1",
      "no-scenecut": "1",
      b_ref_mode: "disabled",
    },
    intraRefresh: { "intra-refresh": "1" },
    foveation: undefined,
    hasThreads: false,
    pixelFormat: "nv12",
    input: "memory",
    rateChange: "running",
    wasRun: false,
  },
  h264_vaapi: {
    options: { profile: "constrained_baseline", rc_mode: "CBR", async_depth: "1", sei: "0" },
    intraRefresh: {},
    foveation: undefined,
    hasThreads: false,
    pixelFormat: "nv12",
    input: "vaapi",
    rateChange: "reopened",
    wasRun: false,
  },
  h264_vulkan: {
    options: {
      profile: "constrained_baseline",
      rc_mode: "cbr",
      tune: "ull",
      usage: "stream",
      content: "rendered",
      async_depth: "1",
    },
    intraRefresh: {},
    foveation: undefined,
    hasThreads: false,
    pixelFormat: "nv12",
    input: "vulkan",
    rateChange: "reopened",
    wasRun: false,
  },
};

export interface PictureSize {
  readonly widthPixels: number;
  readonly heightPixels: number;
}

export interface StreamShape {
  /** Parts of a picture that stand alone: a lost packet costs one of them. */
  readonly slices: number;
  /** A column of each picture is intra coded, the whole within this many pictures; 0 for key frames. */
  readonly intraRefreshFrames: number;
}

/** Of both eyes, 2×450×450 and more: as much of the whole delay as a second core takes off it, for 0.1 dB. */
export const SLICED_PIXELS_MIN = 405_000;

/** Key frames on demand; and slices, which an encoder of the CPU makes at the same time, where a picture takes long. */
export function usualShape({ widthPixels, heightPixels }: PictureSize): StreamShape {
  return { slices: widthPixels * heightPixels >= SLICED_PIXELS_MIN ? 2 : 1, intraRefreshFrames: 0 };
}

/** Key frames come on demand; this many frames apart they come anyway. */
const GROUP_FRAMES = 600;

/** What FFmpeg is told beside size and rate. */
export function openingOptions(
  settings: VideoEncoderSettings,
  { slices, intraRefreshFrames }: StreamShape,
  isFoveated: boolean,
) {
  const isRefreshed = intraRefreshFrames > 0 && Object.keys(settings.intraRefresh).length > 0;
  return {
    groupFrames: isRefreshed ? intraRefreshFrames : GROUP_FRAMES,
    options: {
      ...settings.options,
      ...(slices > 1 ? { slices: String(slices) } : {}),
      ...(settings.hasThreads ? { threads: String(slices) } : {}),
      ...(isRefreshed ? settings.intraRefresh : {}),
      ...(isFoveated ? settings.foveation : {}),
    },
  };
}
