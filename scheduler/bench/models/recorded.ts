/** Reads recorded tables in place; one that is absent is named with where it comes from. */
import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { gunzipSync } from "node:zlib";
import { Failure } from "#domain/failure.ts";

const SOURCES: Readonly<Record<string, string>> = {
  wonder2018: "WonderNetwork pings as kept in ConsenSys/wittgenstein",
  seattle99: "uofa-rzhu3/NetLatency-Data",
  cicv5g: "zxr805/CICV5G",
  eua: "swinedge/eua-dataset",
  cloudflare: "LufsX/Cloudflare-Data-Center-IATA-Code-list",
};

/** Fields by line; quoted fields may hold the separator. Throws `not-found` for a file that is absent. */
export function readRows(path: string, separator: "," | "\t"): string[][] {
  if (!existsSync(path)) {
    const source = Object.entries(SOURCES).find(([prefix]) => basename(path).startsWith(prefix))?.[1] ?? "unknown";
    throw new Failure("not-found", `${path} is absent (source: ${source}); --data names the folder of recorded data`);
  }
  const bytes = readFileSync(path);
  const text = (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  const lines = text.split("\n").filter((line) => line.length > 0);
  return lines.map((line) => splitFields(line.replace(/\r$/, ""), separator));
}

function splitFields(line: string, separator: "," | "\t"): string[] {
  if (!line.includes('"')) return line.split(separator);
  const fields: string[] = [];
  let field = "";
  let isQuoted = false;
  for (const character of line) {
    if (character === '"') isQuoted = !isQuoted;
    else if (character === separator && !isQuoted) {
      fields.push(field);
      field = "";
    } else field += character;
  }
  return [...fields, field];
}
