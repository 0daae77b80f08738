/** Sums up the frames that arrived since the last report, for the agent to set its rate by. Pure but for what it keeps. */
import { type FrameReport, REPORT_MS } from "#contracts/media/control.ts";
import type { FrameHeader } from "#contracts/media/frame.ts";
import { measureFrame } from "../latency/latency.ts";

/** What the protocol admits in one report; a page that stood still for longer says so much. */
const SPAN_MS_MAX = 60_000;
const FRAMES_MAX = 1_000;

export interface FrameReporter {
  /** A report, where one is due with this frame. */
  arrive(frame: {
    readonly header: FrameHeader;
    readonly bytes: number;
    readonly arrivedAtMs: number;
  }): FrameReport | undefined;
}

export function createFrameReporter(): FrameReporter {
  let frames = 0;
  let bytes = 0;
  let newestFrame = 0;
  let networkMsMin = SPAN_MS_MAX;
  let lastArrivalMs: number | undefined;
  return {
    arrive({ header, bytes: frameBytes, arrivedAtMs }) {
      if (lastArrivalMs === undefined) {
        // Where the span begins: what came before it is of no span.
        lastArrivalMs = arrivedAtMs;
        return undefined;
      }
      frames += 1;
      bytes += frameBytes;
      newestFrame = Math.max(newestFrame, header.frameNumber);
      // Decoding is the client's own and no matter of the way.
      const { networkMs } = measureFrame({ header, arrivedAtMs, decodedAtMs: arrivedAtMs }, undefined);
      networkMsMin = Math.min(networkMsMin, networkMs);
      const spanMs = Math.min(SPAN_MS_MAX, Math.max(0, arrivedAtMs - lastArrivalMs));
      if (spanMs < REPORT_MS && frames < FRAMES_MAX) return undefined;
      const report = { newestFrame, framesArrived: frames, bytes, spanMs, networkMsMin };
      frames = 0;
      bytes = 0;
      networkMsMin = SPAN_MS_MAX;
      lastArrivalMs = arrivedAtMs;
      return report;
    },
  };
}
