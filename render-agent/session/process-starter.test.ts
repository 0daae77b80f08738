/** What a machine's sessions are made with is logged once, with what to install; a GPU that is none is gone past. */
import { join } from "node:path";
import t from "tap";
import { systemClock } from "#platform/clock.ts";
import { createLogger } from "#platform/logging.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";
import { createAgentEvents } from "../events.ts";
import { createProcessStarter } from "./process-starter.ts";

const cacheDir = join(import.meta.dirname, "../../.cache/vulkan");

function recording() {
  const records: string[] = [];
  const destination = { write: (text: string) => void records.push(text) };
  const logger = createLogger({ program: "render-agent", level: "info", destination });
  return { records, events: createAgentEvents(logger, createMetrics("render-agent")) };
}

t.test("two processes that say the same are logged once: adapter, encoder, and what would be better", async (t) => {
  const { records, events } = recording();
  const start = await createProcessStarter({
    ...{ clock: systemClock, cacheDir, environment: {}, events },
    encoder: "jpeg",
  });
  const first = await start();
  const second = await start();
  for (const session of [first, second]) session.stop("seen");
  await Promise.all([first.ended, second.ended]);
  const said = records.filter((record) => record.includes("sessions are rendered and encoded by"));
  t.equal(said.length, 1);
  t.match(said[0], /"level":"info".*"adapter":".+","isSoftware":(true|false),"encoder":"jpeg"/);
  const better = records.filter((record) => record.includes("sessions could be rendered or encoded better"));
  const isSoftware = said[0]?.includes('"isSoftware":true') === true;
  t.equal(better.length > 0, isSoftware, "software drawing is said to be so");
  if (isSoftware) t.match(better.join("\n"), /"level":"warn".*(there is no GPU|no Vulkan driver)/);
});

t.test("each thing to install is a warning of its own", async (t) => {
  const { records, events } = recording();
  const software = { adapterName: "SwiftShader driver 5.0.0", isSoftware: true };
  events.equipped({ ...software, encoder: "libx264", advice: [] });
  events.equipped({ ...software, encoder: "jpeg", advice: ["node-av is not installed"] });
  t.equal(records.length, 3);
  t.match(records[2], /"level":"warn".*"what":"node-av is not installed"/);
});
