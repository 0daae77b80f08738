/** The command line that every program has: its configuration, single keys of it, help and version. */
import { parseArgs } from "node:util";
import { SOFTWARE_VERSION } from "#domain/version.ts";
import { EXIT } from "./program.ts";

export interface ProgramArguments {
  /** The YAML file of `--config`. */
  readonly file?: string;
  /** Of each `--set`, as it was given. */
  readonly settings: readonly string[];
}

/** `undefined` where all is said already: help, the version, or what is wrong, with the exit code for it. */
export function readArguments(name: string, args: readonly string[], help: string): ProgramArguments | undefined {
  const values = parse(name, args);
  if (values === undefined) return undefined;
  if (values.help) process.stdout.write(help);
  else if (values.version) process.stdout.write(`${name} ${SOFTWARE_VERSION}\n`);
  else return { ...(values.config !== undefined && { file: values.config }), settings: values.set };
  return undefined;
}

function parse(name: string, args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        config: { type: "string" },
        set: { type: "string", multiple: true, default: [] },
        help: { type: "boolean", short: "h", default: false },
        version: { type: "boolean", short: "V", default: false },
      },
    });
    return values;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    process.stderr.write(`${name}: ${error.message} (see --help)\n`);
    process.exitCode = EXIT.usage;
    return undefined;
  }
}
