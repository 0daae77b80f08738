/** Records what a version puts on the wire and on disk: `node test/wire/record.ts 0.2.0`. Never touches what was recorded. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toBinary, toJson } from "@bufbuild/protobuf";
import { readDatabases, recordDatabases } from "./databases.ts";
import { sampleMedia } from "./sample-media.ts";
import { sampleMessages } from "./sample-messages.ts";
import { SAMPLE_RESOURCES } from "./sample-resources.ts";
import { sampleTokens } from "./sample-tokens.ts";

const version = process.argv[2] ?? "";
if (!/^\d+\.\d+\.\d+$/.test(version)) {
  console.error("give the version that is recorded, as in: node test/wire/record.ts 0.2.0");
  process.exit(2);
}
const folder = join(import.meta.dirname, "../../contracts/fixtures", version);
mkdirSync(folder, { recursive: true });

const messages = sampleMessages().map(({ name, schema, message }) => ({
  name,
  base64: Buffer.from(toBinary(schema, message)).toString("base64"),
  json: toJson(schema, message),
}));
const texts = {
  "messages.json": messages,
  "tokens.json": await sampleTokens(),
  "resources.json": SAMPLE_RESOURCES,
  "media.json": sampleMedia(),
};
for (const [name, value] of Object.entries(texts)) write(name, `${JSON.stringify(value, null, 2)}\n`);
const databases = join(folder, "databases");
if (existsSync(databases)) console.log(`kept  ${databases}`);
else {
  await recordDatabases(databases);
  write("databases.json", `${JSON.stringify(await readDatabases(databases), null, 2)}\n`);
}

function write(name: string, text: string): void {
  const path = join(folder, name);
  const isThere = existsSync(path);
  if (!isThere) writeFileSync(path, text);
  console.log(`${isThere ? "kept " : "wrote"} ${path}`);
}
