/** `perigee dev`: Perigee on this machine with embedded storage and sample content, until interrupted. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { stringify } from "yaml";
import { type RunningProgram, startProgram } from "#deploy/one-machine/program.ts";
import { makeSampleSite } from "#deploy/one-machine/sample/site.ts";
import { Failure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import type { ContextFile } from "../context.ts";
import { applyFiles } from "./apply.ts";
import { publishFolder } from "./publish.ts";
import { apiFor, type CommandSession } from "./session.ts";

const SAMPLE_RESOURCES = join(import.meta.dirname, "..", "..", "deploy", "one-machine", "sample", "resources.yaml");
const PORTS = { operatorApi: 7400, nodeRpc: 7401, enrolment: 7402, delivery: 7403, admin: 7409 };

export function addDev(program: Command, session: CommandSession): void {
  program
    .command("dev")
    .description("run Perigee on this machine with sample content, until interrupted")
    .option("--data <folder>", "where everything is kept", ".perigee")
    .option("--port-offset <number>", "added to every port, to run beside another", "0")
    .addHelpText("after", "\nExample:\n  perigee dev --data /tmp/perigee --port-offset 1000")
    .action(async (options: { data: string; portOffset: string }) => {
      const offset = Number(options.portOffset);
      if (!Number.isInteger(offset) || offset < 0 || offset > 50_000) {
        throw new Failure(
          "argument-invalid",
          `--port-offset must be 0..50000, got ${JSON.stringify(options.portOffset)}`,
        );
      }
      await runOneMachine(resolve(session.environment.folder, options.data), offset, session);
    });
}

async function runOneMachine(data: string, offset: number, session: CommandSession): Promise<void> {
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const origin = `http://127.0.0.1:${PORTS.operatorApi + offset}`;
  session.output.note(`starting the origin (data and logs in ${data})`);
  const tokenFile = join(data, "operator-token");
  await using running = await startOrigin(data, offset, tokenFile, session.signal);
  const context: ContextFile = { origin, tokenFile };
  writeFileSync(join(data, "context.yaml"), stringify(context));
  await addSamples(data, origin, tokenFile, session);
  session.output.line(`status page    ${origin}/`);
  session.output.line(`operator API   ${origin}/docs`);
  session.output.line(`metrics        http://127.0.0.1:${PORTS.admin + offset}/metrics`);
  session.output.line(`command line   perigee --context ${join(data, "context.yaml")} get sites`);
  session.output.line("Ctrl-C stops everything.");
  const interrupted = new Promise<"interrupted">((done) =>
    session.signal.addEventListener("abort", () => done("interrupted")),
  );
  if ((await Promise.race([interrupted, running.ended])) !== "interrupted") {
    throw new Failure("unavailable", `the origin ended by itself; see ${join(data, "origin.log")}`);
  }
  session.output.note("stopping");
}

function startOrigin(
  data: string,
  offset: number,
  firstTokenFile: string,
  signal: AbortSignal,
): Promise<RunningProgram> {
  const listening = Object.entries(PORTS).map(([name, port]) => [`listen.${name}`, `127.0.0.1:${port + offset}`]);
  return startProgram(
    {
      name: "the origin",
      main: "origin/main.ts",
      settings: { dataDir: join(data, "origin"), firstTokenFile, ...Object.fromEntries(listening) },
      adminUrl: `http://127.0.0.1:${PORTS.admin + offset}`,
      logFile: join(data, "origin.log"),
    },
    systemClock,
    signal,
  );
}

/** At the first start only: later ones find what the operator made of it. */
async function addSamples(data: string, origin: string, tokenFile: string, session: CommandSession): Promise<void> {
  const marker = join(data, "samples-added");
  if (existsSync(marker)) return;
  const api = apiFor({ origin, scheduler: origin, token: readFileSync(tokenFile, "utf8").trim() });
  await applyFiles(() => api, [SAMPLE_RESOURCES], false);
  const folder = mkdtempSync(join(tmpdir(), "perigee-sample-"));
  try {
    makeSampleSite(folder);
    session.output.note(await publishFolder(api, folder, "shop", { line: () => {}, note: () => {} }));
  } finally {
    rmSync(folder, { recursive: true });
  }
  writeFileSync(marker, "");
}
