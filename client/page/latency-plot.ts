/** Draws where the time of each picture of the last ten seconds went: a column a picture, its parts on each other. */
import {
  LATENCY_PARTS,
  type LatencyPart,
  type LatencySample,
  WINDOW_MS,
  WINDOW_SAMPLES_MAX,
} from "../latency/latency.ts";

/** A column is no wider, so that a gap in the pictures is one in the plot. */
const COLUMN_MS_MAX = 60;
const SCALES_MS = [20, 40, 60, 100, 200, 400, 1000, 2000, 5000] as const;
/** Of pictures that fit below the top: one that was late does not flatten the others. */
const SHOWN_RATIO = 0.95;
const GRID_LINES = 4;
const LABEL_PIXELS = 58;
const LINE_PIXELS = 18;

interface TimedSample {
  readonly atMs: number;
  readonly sample: LatencySample;
}

export interface PlotColumn {
  readonly part: LatencyPart;
  readonly fromMs: number;
  readonly toMs: number;
  readonly bottomMs: number;
  readonly topMs: number;
}

/** Times are before now; the parts of one picture stand on each other. Pure. */
export function columnsOf(samples: readonly TimedSample[], nowMs: number): readonly PlotColumn[] {
  return samples.flatMap(({ atMs, sample }, index) => {
    const nextMs = samples[index + 1]?.atMs ?? nowMs;
    const [fromMs, toMs] = [nowMs - atMs, nowMs - Math.min(nextMs, atMs + COLUMN_MS_MAX)];
    let topMs = 0;
    return LATENCY_PARTS.map((part) => {
      const bottomMs = topMs;
      topMs += sample[part];
      return { part, fromMs, toMs, bottomMs, topMs };
    });
  });
}

/** Room for nearly all pictures and for the budget. Pure. */
export function scaleMsOf(samples: readonly TimedSample[], budgetMs = 0): number {
  const sorted = samples.map(({ sample }) => sample.remotePathMs).toSorted((a, b) => a - b);
  const wantedMs = Math.max(budgetMs, sorted[Math.ceil(sorted.length * SHOWN_RATIO) - 1] ?? 0);
  return SCALES_MS.find((scaleMs) => scaleMs >= wantedMs) ?? SCALES_MS[SCALES_MS.length - 1] ?? wantedMs;
}

export interface LatencyPlot {
  add(sample: LatencySample, nowMs: number): void;
  draw(nowMs: number, budgetMs: number | undefined): void;
}

/** The canvas's custom properties that are read. */
const COLOURS = [...LATENCY_PARTS, "ink", "quiet", "line", "surface"] as const;

export function createLatencyPlot(canvas: HTMLCanvasElement): LatencyPlot {
  // Only a registered property is read as the colour it is; another as the text that was written.
  for (const colour of COLOURS) {
    CSS.registerProperty({ name: `--${colour}`, syntax: "<color>", inherits: true, initialValue: "gray" });
  }
  const samples: TimedSample[] = [];
  return {
    add(sample, nowMs) {
      samples.push({ atMs: nowMs, sample });
      if (samples.length > WINDOW_SAMPLES_MAX) samples.shift();
    },
    draw(nowMs, budgetMs) {
      while ((samples[0]?.atMs ?? nowMs) < nowMs - WINDOW_MS) samples.shift();
      const context = canvas.getContext("2d");
      if (context === null || canvas.clientWidth === 0) return;
      const size = fitToScreen(canvas, context);
      const scaleMs = scaleMsOf(samples, budgetMs);
      const colours = getComputedStyle(canvas);
      const yOf = (ms: number): number => size.height - LINE_PIXELS - (ms / scaleMs) * (size.height - 2 * LINE_PIXELS);
      const xOf = (agoMs: number): number => LABEL_PIXELS + (1 - agoMs / WINDOW_MS) * (size.width - LABEL_PIXELS);
      context.clearRect(0, 0, size.width, size.height);
      drawGrid(context, { ...size, scaleMs, yOf, xOf, colours });
      for (const { part, fromMs, toMs, bottomMs, topMs } of columnsOf(samples, nowMs)) {
        context.fillStyle = colours.getPropertyValue(`--${part}`);
        // Whole pixels: neighbours leave no seam.
        const [left, right] = [Math.max(LABEL_PIXELS, Math.floor(xOf(fromMs))), Math.floor(xOf(toMs))];
        const [top, bottom] = [yOf(Math.min(topMs, scaleMs)), yOf(Math.min(bottomMs, scaleMs))];
        context.fillRect(left, top, Math.max(1, right - left), bottom - top);
      }
      if (budgetMs !== undefined) drawBudget(context, { width: size.width, y: yOf(budgetMs), budgetMs, colours });
    },
  };
}

/** In CSS pixels, sharp on any screen. */
function fitToScreen(canvas: HTMLCanvasElement, context: CanvasRenderingContext2D): { width: number; height: number } {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const ratio = devicePixelRatio;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { width, height };
}

interface Grid {
  readonly width: number;
  readonly height: number;
  readonly scaleMs: number;
  readonly yOf: (ms: number) => number;
  readonly xOf: (agoMs: number) => number;
  readonly colours: CSSStyleDeclaration;
}

function drawGrid(context: CanvasRenderingContext2D, { width, height, scaleMs, yOf, xOf, colours }: Grid): void {
  context.font = `12px ${colours.fontFamily}`;
  context.fillStyle = colours.getPropertyValue("--quiet");
  context.strokeStyle = colours.getPropertyValue("--line");
  context.setLineDash([]);
  context.lineWidth = 1;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (let line = 0; line <= GRID_LINES; line += 1) {
    const ms = (scaleMs * line) / GRID_LINES;
    strokeAcross(context, yOf(ms), width);
    context.fillText(`${ms} ms`, LABEL_PIXELS - 6, yOf(ms));
  }
  context.textBaseline = "bottom";
  for (const agoMs of [WINDOW_MS, WINDOW_MS / 2, 0]) {
    context.textAlign = agoMs === 0 ? "right" : agoMs === WINDOW_MS ? "left" : "center";
    context.fillText(agoMs === 0 ? "now" : `${agoMs / 1000} s ago`, xOf(agoMs), height);
  }
}

interface Budget {
  readonly width: number;
  readonly y: number;
  readonly budgetMs: number;
  readonly colours: CSSStyleDeclaration;
}

function drawBudget(context: CanvasRenderingContext2D, { width, y, budgetMs, colours }: Budget): void {
  context.strokeStyle = colours.getPropertyValue("--ink");
  context.fillStyle = colours.getPropertyValue("--ink");
  context.lineWidth = 1.5;
  context.setLineDash([6, 4]);
  strokeAcross(context, y, width);
  context.textAlign = "right";
  context.textBaseline = "bottom";
  context.setLineDash([]);
  context.lineWidth = 4;
  context.strokeStyle = colours.getPropertyValue("--surface");
  context.strokeText(`budget ${budgetMs} ms`, width - 4, y - 2);
  context.fillText(`budget ${budgetMs} ms`, width - 4, y - 2);
}

function strokeAcross(context: CanvasRenderingContext2D, y: number, width: number): void {
  context.beginPath();
  context.moveTo(LABEL_PIXELS, Math.round(y) + 0.5);
  context.lineTo(width, Math.round(y) + 0.5);
  context.stroke();
}
