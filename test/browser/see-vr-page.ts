/** Opens a VR page in the tests' Chromium and waits for pictures: `node test/browser/see-vr-page.ts URL [FRAMES]`. */
import { parseArgs } from "node:util";
import Type from "typebox";
import { Value } from "typebox/value";
import { launchChromium } from "../chromium/chromium.ts";

/** A browser's cold start and a session on a machine that renders by software and does all else too. */
const FRAMES_MS_MAX = 60_000;

const seenSchema = Type.Object({
  frames: Type.Integer(),
  pool: Type.String(),
  agent: Type.String(),
  remotePathMs: Type.Object({ p50: Type.Number(), p95: Type.Number() }),
});

const { positionals } = parseArgs({ allowPositionals: true });
const [url = "", frames = "30"] = positionals;
await using browser = await launchChromium({ width: 480, height: 600 });
const page = await browser.context.newPage();
const said: string[] = [];
page.on("console", (message) => void said.push(message.text()));
await page.goto(url);
try {
  await page.waitForFunction(`(window.perigee?.framesDecoded() ?? 0) >= ${Number(frames)}`, undefined, {
    timeout: FRAMES_MS_MAX,
  });
  const seen: unknown = await page.evaluate(`(() => {
    const { pool, agent } = perigee.state();
    return { frames: perigee.framesDecoded(), pool, agent, remotePathMs: perigee.statistics().latency?.remotePathMs };
  })()`);
  const { pool, agent, remotePathMs, frames: decoded } = Value.Parse(seenSchema, seen);
  const latency = `${remotePathMs.p50.toFixed(1)} ms, p95 ${remotePathMs.p95.toFixed(1)}`;
  console.log(`${decoded} frames decoded from ${agent} (${pool}), remote-path latency ${latency}`);
} catch (error) {
  console.log(`no pictures at ${page.url()}: ${error instanceof Error ? error.message : String(error)}`);
  console.log(await page.evaluate("JSON.stringify(window.perigee?.state() ?? 'no perigee on this page')"));
  console.log(said.slice(-10).join("\n"));
  process.exitCode = 1;
}
