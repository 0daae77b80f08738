/**
 * Sound in a real browser's audio thread beside pictures of the page's own making: what is played is compared with what was
 * sent, sample by sample, and says with which picture each moment is heard. All of it by the page's clocks.
 */
import { createServer } from "node:http";
import { join } from "node:path";
import { build } from "esbuild";
import t from "tap";
import Type from "typebox";
import { Value } from "typebox/value";
import { AUDIO_BLOCK_FRAMES, AUDIO_SAMPLE_RATE_HZ } from "#contracts/media/audio.ts";
import { listen } from "#platform/http/listening.ts";
import { seededRandom } from "#platform/random.ts";
import { openOpusEncoder } from "#render-agent/audio/opus-encoder.ts";
import { launchChromium } from "../chromium/chromium.ts";

const CLIENT = join(import.meta.dirname, "..", "..", "client");
const FRAMES_PER_MS = AUDIO_SAMPLE_RATE_HZ / 1000;
const BLOCKS = 600;
/** From a picture's stamp to its being shown: what sound takes with a ring at 40 ms, so that the page may be slow by some. */
const PICTURE_MS = 50;
const WINDOWS = 16;
const WINDOW_FRAMES = 960;
/** Both ways of where sound is to be. */
const SEARCHED_MS = 100;

/** Plays packets by the page's clock, beside pictures of as old as they are to be, until all are played. */
const ENTRY = `
  import { encodeAudio } from "#contracts/media/audio.ts";
  import { openAudioOutput } from "./audio/audio-output.ts";
  import { openOpusDecoder } from "./audio/opus-decoder.ts";
  import { createPlayback } from "./audio/playback.ts";
  import { browserClock, startEpochMs } from "./clock.ts";

  const RECORDER = \`registerProcessor("recorder", class extends AudioWorkletProcessor {
    process([[samples]]) {
      if (samples) this.port.postMessage({ frame: currentFrame, samples: samples.slice() });
      return true;
    }
  })\`;
  const recorded = [];
  const clocks = [];
  const addModule = AudioWorklet.prototype.addModule;
  AudioWorklet.prototype.addModule = async function (url) {
    await addModule.call(this, URL.createObjectURL(new Blob([RECORDER], { type: "text/javascript" })));
    return addModule.call(this, url);
  };
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to === this.context.destination) {
      const recorder = new AudioWorkletNode(this.context, "recorder");
      recorder.port.onmessage = ({ data }) => recorded.push(data);
      connect.call(this, recorder);
    }
    return connect.call(this, to, ...rest);
  };

  window.play = async (texts, pictureMs) => {
    const opus = texts.map((text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)));
    let output;
    const playback = createPlayback({
      openDecoder: openOpusDecoder,
      async openOutput(onReport) {
        output = await openAudioOutput(browserClock, () => {
          const frame = output.report().timeSeconds * 48_000;
          clocks.push({ frame, zeroHeardAtMs: output.heardAtMs(0) });
          onReport();
        });
        return output;
      },
    });
    await playback.begin();
    const epochMs = startEpochMs(browserClock);
    const behindMs = 2_500;
    const show = () => {
      const shownAtMs = epochMs() + 16;
      playback.pictureShown({ stampMs: shownAtMs - pictureMs - behindMs, shownAtMs });
      requestAnimationFrame(show);
    };
    requestAnimationFrame(show);
    await browserClock.sleep(500);
    const firstMs = epochMs();
    for (let block = 0; block < opus.length; block += 1) {
      const dueMs = firstMs + block * 10 - epochMs();
      if (dueMs > 0) await browserClock.sleep(dueMs);
      const stampMs = firstMs + block * 10 - behindMs;
      const previous = block === 0 ? {} : { previousOpus: opus[block - 1] };
      playback.addPacket(encodeAudio({ sequence: block + 1, stampMs, opus: opus[block], ...previous, isLast: false }));
    }
    const told = playback.offsetMs();
    const statistics = playback.statistics();
    const [{ frame: firstFrame }] = recorded;
    const samples = Array(recorded.at(-1).frame - firstFrame + 128).fill(0);
    // An input that is not connected yet has none.
    for (const part of recorded) for (const [at, value] of part.samples.entries()) samples[part.frame - firstFrame + at] = value;
    playback.close();
    return { told, statistics, firstMs, clocks, firstFrame, samples };
  };
`;
const played = Type.Object({
  told: Type.Object({ p5: Type.Number(), p50: Type.Number(), p95: Type.Number() }),
  statistics: Type.Object({ bufferMs: Type.Number(), underruns: Type.Integer() }),
  /** Of the first block, by the page's clock. */
  firstMs: Type.Number(),
  /** At a frame of the context: when its first one was heard, which is later and later where the device stands still. */
  clocks: Type.Array(Type.Object({ frame: Type.Number(), zeroHeardAtMs: Type.Number() })),
  firstFrame: Type.Integer(),
  samples: Type.Array(Type.Number()),
});

/** Noise without its highest tones, which an encoder of so many bits leaves as it is; no part of it is like another. */
async function send() {
  const random = seededRandom(11);
  const sent = new Float32Array(BLOCKS * AUDIO_BLOCK_FRAMES);
  let [once, twice] = [0, 0];
  for (let at = 0; at < sent.length; at += 1) {
    once += (random.ratio() * 2 - 1 - once) * 0.15;
    twice += (once - twice) * 0.15;
    sent[at] = twice;
  }
  using encoder = await openOpusEncoder();
  const texts = Array.from({ length: BLOCKS }, (_, block) => {
    const both = Float32Array.from(
      { length: 2 * AUDIO_BLOCK_FRAMES },
      (_, at) => sent[block * AUDIO_BLOCK_FRAMES + (at >> 1)] ?? 0,
    );
    return Buffer.from(encoder.encode(both)).toString("base64");
  });
  return { sent, texts };
}

function correlation(a: ArrayLike<number>, b: Float32Array, from: number): number {
  let [both, ofA, ofB] = [0, 0, 0];
  for (let at = 0; at < a.length; at += 1) {
    const [x, y] = [a[at] ?? 0, b[from + at] ?? 0];
    both += x * y;
    ofA += x * x;
    ofB += y * y;
  }
  return both / Math.sqrt(ofA * ofB + 1e-12);
}

/** Where in what was sent a window of what was played is from. */
function findIn(sent: Float32Array, window: readonly number[], aroundFrame: number) {
  const reach = SEARCHED_MS * FRAMES_PER_MS;
  let best = { frame: 0, likeness: -1 };
  for (let frame = Math.max(0, aroundFrame - reach); frame < aroundFrame + reach; frame += 1) {
    const likeness = correlation(window, sent, frame);
    if (likeness > best.likeness) best = { frame, likeness };
  }
  return best;
}

async function play(t: { teardown(end: () => unknown): void }, texts: readonly string[]) {
  const { outputFiles } = await build({
    stdin: { contents: ENTRY, resolveDir: CLIENT, loader: "ts" },
    ...{ bundle: true, format: "iife", write: false, target: "es2022" },
  });
  const server = createServer((_request, response) => response.setHeader("Content-Type", "text/html").end("playing"));
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
  const browser = await launchChromium({ arguments: ["--autoplay-policy=no-user-gesture-required"] });
  t.teardown(async () => {
    await browser[Symbol.asyncDispose]();
    server.close();
  });
  const page = await browser.context.newPage();
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.evaluate(outputFiles[0]?.text ?? "");
  return Value.Parse(played, await page.evaluate(`play(${JSON.stringify(texts)}, ${PICTURE_MS})`));
}

const medianOf = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

t.test(
  "what is played is what was sent, each moment of it with its picture, by the samples and as the page tells it",
  async (t) => {
    const { sent, texts } = await send();
    const { told, statistics, firstMs, clocks, firstFrame, samples } = await play(t, texts);
    const heard = Array.from({ length: WINDOWS }, (_, window) => {
      const at = Math.floor(samples.length * (0.08 + (0.88 * window) / WINDOWS));
      const frame = firstFrame + at;
      const { zeroHeardAtMs = Number.NaN } = clocks.findLast((clock) => clock.frame <= frame) ?? {};
      const pictureMs = zeroHeardAtMs - firstMs + frame / FRAMES_PER_MS - PICTURE_MS;
      const found = findIn(sent, samples.slice(at, at + WINDOW_FRAMES), Math.round(pictureMs * FRAMES_PER_MS));
      return { likeness: found.likeness, offsetMs: pictureMs - found.frame / FRAMES_PER_MS };
    });
    const likeness = medianOf(heard.map((one) => one.likeness));
    const offsetMs = medianOf(heard.map((one) => one.offsetMs));
    t.comment(heard.map((one) => `${one.offsetMs.toFixed(1)} (${one.likeness.toFixed(2)})`).join(", "));
    t.comment(JSON.stringify({ likeness, offsetMs, told, statistics }));
    t.ok(likeness > 0.9, `as sent: ${likeness}`);
    // It has had time to get to its place.
    const settledMs = medianOf(heard.slice(WINDOWS / 2).map((one) => one.offsetMs));
    t.ok(settledMs > -20 && settledMs < 45, `${settledMs} ms after the picture`);
    t.ok(Math.abs(told.p50 - offsetMs) < 5, `told ${told.p50} ms, heard ${offsetMs}`);
  },
);
