import { readdirSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { TSchema } from "typebox";
import { edgeConfigSchema } from "#edge-node/config.ts";
import { originConfigSchema } from "#origin/config.ts";
import { loadConfig } from "#platform/config/load.ts";
import { agentConfigSchema, checkAgentConfig } from "#render-agent/config.ts";
import { schedulerConfigSchema } from "#scheduler/config.ts";

const SCHEMAS: Readonly<Record<string, TSchema>> = {
  "edge-node.yaml": edgeConfigSchema,
  "origin.yaml": originConfigSchema,
  "render-agent.yaml": agentConfigSchema,
  "scheduler.yaml": schedulerConfigSchema,
};

t.test("each program accepts its example of a configuration", async (t) => {
  const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".yaml"));
  t.strictSame(files.sort(), Object.keys(SCHEMAS));
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    t.doesNotThrow(() => loadConfig(schema, { file: join(import.meta.dirname, name) }), name);
  }
  const agent = loadConfig(agentConfigSchema, { file: join(import.meta.dirname, "render-agent.yaml") });
  t.doesNotThrow(() => checkAgentConfig(agent), "what the schema cannot say holds too");
});
