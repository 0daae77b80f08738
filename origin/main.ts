/** Starts the origin from its command line. */
import { isFailure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { loadConfig, parseOverrides } from "#platform/config/load.ts";
import { type ProgramArguments, readArguments } from "#platform/lifecycle/arguments.ts";
import { EXIT, runProgram } from "#platform/lifecycle/program.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { type OriginConfig, originConfigSchema } from "./config.ts";
import { startOrigin } from "./origin.ts";
import { restoreOrigin } from "./restore.ts";

const HELP = `origin: the control plane and the content's source of truth.

  node origin/main.ts [--config FILE] [--set path.to.key=value]...
  node origin/main.ts restore [EPOCH] [--config FILE] [--set path.to.key=value]...

restore: with every origin stopped and a backup of the dataDir (and of etcd) in place, begins a new epoch of the log, so that the fleet
takes it. EPOCH where nodes have been in a higher one than the backup's next.

Keys: ${Object.keys(originConfigSchema.properties).join(", ")}
Example: node origin/main.ts --set dataDir=/var/lib/perigee/origin --set listen.operatorApi=127.0.0.1:7400
`;

/** Node keeps a few bytes of the common pool for each TLS connection; as many as there are links would keep 64 KiB each. */
const BUFFER_POOL_BYTES = 2048;
Buffer.poolSize = BUFFER_POOL_BYTES;

const [first = "", ...others] = process.argv.slice(2);
const isRestore = first === "restore";
const epochText = isRestore && /^\d+$/.test(others[0] ?? "") ? others.shift() : undefined;
const given = readArguments("origin", isRestore ? others : process.argv.slice(2), HELP);
const print = (text: string): void => void process.stdout.write(`${text}\n`);

function configOf({ settings, ...file }: ProgramArguments): OriginConfig {
  return loadConfig(originConfigSchema, { ...file, overrides: parseOverrides(settings) });
}

async function restore(restoring: ProgramArguments): Promise<void> {
  try {
    const config = configOf(restoring);
    const tools = { clock: systemClock, random: systemRandom };
    const { epoch, revision } = await restoreOrigin(
      config.dataDir,
      tools,
      epochText === undefined ? undefined : Number(epochText),
      config.log?.etcd,
    );
    print(`epoch ${epoch} begins after revision ${revision}: start the origin`);
  } catch (error) {
    if (!isFailure(error)) throw error;
    process.stderr.write(`origin: ${error.message}\n`);
    process.exitCode = error.code === "config-invalid" ? EXIT.configInvalid : EXIT.startFailed;
  }
}

if (given !== undefined && isRestore) await restore(given);
else if (given !== undefined) {
  await runProgram({
    name: "origin",
    start: async () => {
      const config = configOf(given);
      const logger = createLogger({ program: "origin", level: config.logLevel });
      return startOrigin(config, { clock: systemClock, random: systemRandom, logger, print });
    },
  });
}
