/** In the browser: sessions of the client library on canvases of their own, and a record of each pose, frame and drawing. */
import { browserClock } from "#client/clock.ts";
import type { ClientConfig } from "#client/config.ts";
import { LATENCY_PARTS, measureFrame, type TimedFrame } from "#client/latency/latency.ts";
import { browserRandom } from "#client/random.ts";
import { startVrClient, type VrClient } from "#client/vr-client.ts";
import type { FrameRecord, ShownPicture, StartRecord, WindowRecord } from "../records.ts";

/** 47 degrees a second at most: a head that looks around. */
const YAW_DEGREES = 30;
const YAW_PERIOD_MS = 4_000;
const PITCH_DEGREES = 5;
const PITCH_PERIOD_MS = 3_000;
/** Reading a canvas back holds the page up: the frames after it are not what a person sees. */
const DRAWINGS_BETWEEN_PICTURES = 15;
/** Code units given to one call as arguments. */
const CHUNK = 8_192;

interface Viewing {
  readonly canvas: HTMLCanvasElement;
  readonly openedAtMs: number;
  client: VrClient | undefined;
  record: { fromMs: number; frames: FrameRecord[]; poses: WindowRecord["poses"]; drawings: WindowRecord["drawings"] };
  firstFrame: FrameRecord | undefined;
  firstDrawnAtMs: number | undefined;
  picturesWanted: number;
  drawingsSincePicture: number;
  readonly pictures: ShownPicture[];
}

const viewings: Viewing[] = [];
const requests: PerformanceEntry[] = [];
new PerformanceObserver((list) => requests.push(...list.getEntries())).observe({ type: "resource", buffered: true });

const emptyRecord = (): Viewing["record"] => ({ fromMs: performance.now(), frames: [], poses: [], drawings: [] });

async function open(config: ClientConfig): Promise<number> {
  const canvas = document.createElement("canvas");
  document.body.append(canvas);
  const viewing: Viewing = {
    ...{ canvas, openedAtMs: performance.now(), client: undefined, record: emptyRecord() },
    ...{ firstFrame: undefined, firstDrawnAtMs: undefined, picturesWanted: 0, drawingsSincePicture: 0, pictures: [] },
  };
  viewings.push(viewing);
  viewing.client = await startVrClient({
    ...{ config, canvas, clock: browserClock, random: browserRandom, pageEdge: undefined, deviceName: "bench" },
    transports: ["webrtc"],
    beforePose: () => beforePose(viewing),
    onFrame(timed) {
      const frame = recordOf(timed, performance.now());
      viewing.firstFrame ??= frame;
      viewing.record.frames.push(frame);
    },
  });
  // Callbacks of a frame run in the order in which they were first asked for: this one after the library's own.
  let framesDrawn = 0;
  eachFrame(() => {
    const counts = viewing.client?.counts();
    if (counts === undefined || counts.lastPoseId === undefined || counts.framesDrawn === framesDrawn) return;
    framesDrawn = counts.framesDrawn;
    afterDrawing(viewing, counts.lastPoseId);
  });
  return viewings.length - 1;
}

function recordOf(timed: TimedFrame, notedAtMs: number): FrameRecord {
  const { frameNumber, poseId, poseSampledAtMs, poseReceivedAtMs, sentAtMs } = timed.header;
  const { arrivedAtMs, decodedAtMs } = timed;
  const sample = measureFrame(timed, undefined);
  return {
    ...{ frameNumber, poseId, poseSampledAtMs, poseReceivedAtMs, sentAtMs, arrivedAtMs, decodedAtMs, notedAtMs },
    remotePathMs: sample.remotePathMs,
    parts: Object.fromEntries(LATENCY_PARTS.map((part) => [part, sample[part]])),
  };
}

function eachFrame(work: () => void): void {
  const run = (): void => {
    requestAnimationFrame(run);
    work();
  };
  requestAnimationFrame(run);
}

function beforePose({ client, record }: Viewing): void {
  if (client === undefined) return;
  const nowMs = performance.now();
  const swing = (degrees: number, periodMs: number): number => degrees * Math.sin((2 * Math.PI * nowMs) / periodMs);
  client.setHead({
    yawDegrees: swing(YAW_DEGREES, YAW_PERIOD_MS),
    pitchDegrees: swing(PITCH_DEGREES, PITCH_PERIOD_MS),
  });
  record.poses.push({ poseId: client.counts().posesSent + 1, atMs: performance.now() });
}

function afterDrawing(viewing: Viewing, poseId: number): void {
  const atMs = performance.now();
  viewing.firstDrawnAtMs ??= atMs;
  viewing.record.drawings.push({ poseId, atMs });
  viewing.drawingsSincePicture += 1;
  const isDue = viewing.picturesWanted > 0 && viewing.drawingsSincePicture >= DRAWINGS_BETWEEN_PICTURES;
  if (!isDue || viewing.client === undefined) return;
  viewing.picturesWanted -= 1;
  viewing.drawingsSincePicture = 0;
  viewing.pictures.push(readCanvas(viewing.canvas, viewing.client));
}

/** Within the frame that drew it: later the drawing buffer is gone. */
function readCanvas(canvas: HTMLCanvasElement, client: VrClient): ShownPicture {
  const { width, height } = canvas;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  if (context === null) throw new TypeError("there is no 2D context to read a canvas with");
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  let text = "";
  for (let at = 0; at < data.length; at += CHUNK) text += String.fromCharCode(...data.subarray(at, at + CHUNK));
  return { head: client.head(), widthPixels: width, heightPixels: height, rgba: btoa(text) };
}

function of(index: number): Viewing {
  const viewing = viewings[index];
  if (viewing === undefined) throw new RangeError(`there is no session ${index}`);
  return viewing;
}

/** `undefined` until its first picture is on the canvas. */
function startOf(index: number): StartRecord | undefined {
  const { openedAtMs, firstFrame, firstDrawnAtMs } = of(index);
  if (firstFrame === undefined || firstDrawnAtMs === undefined) return undefined;
  const find = (end: RegExp): PerformanceResourceTiming => {
    const found = requests.find((entry) => end.test(entry.name) && entry.startTime >= openedAtMs);
    if (found instanceof PerformanceResourceTiming) return found;
    throw new TypeError(`no request for ${end} was seen`);
  };
  const [create, place, lease] = [find(/\d\/v1\/sessions$/), find(/\/probes$/), find(/perigee\/v1\/sessions$/)];
  return {
    ...{ openedAtMs, createAtMs: create.startTime, createdAtMs: create.responseEnd },
    ...{ probedAtMs: place.startTime, placedAtMs: place.responseEnd },
    ...{ offeredAtMs: lease.startTime, leasedAtMs: lease.responseEnd },
    arrivedAtMs: firstFrame.notedAtMs - (firstFrame.decodedAtMs - firstFrame.arrivedAtMs),
    ...{ decodedAtMs: firstFrame.notedAtMs, drawnAtMs: firstDrawnAtMs },
  };
}

const bench = {
  open,
  startOf,
  state: (index: number) => {
    const { phase, facts } = of(index).client?.state() ?? {};
    return { phase, transport: facts?.grant?.transport, problem: facts?.problem };
  },
  begin() {
    for (const viewing of viewings) viewing.record = emptyRecord();
  },
  take(index: number): WindowRecord {
    return { ...of(index).record, toMs: performance.now() };
  },
  wantPictures(index: number, count: number) {
    of(index).picturesWanted = count;
  },
  pictures: (index: number) => of(index).pictures,
  leave: (index: number) => of(index).client?.leave(),
};

export type BenchPage = typeof bench;

declare global {
  interface Window {
    bench?: BenchPage;
  }
}

window.bench = bench;
