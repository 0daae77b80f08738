/** The options of a script that people start by hand: what is not among them ends it with what there is. */
import { type ParseArgsConfig, parseArgs } from "node:util";

const MISUSED = 2;

export function parseOptions<const Options extends NonNullable<ParseArgsConfig["options"]>>(
  help: string,
  options: Options,
  allowPositionals = false,
) {
  try {
    return parseArgs({ options, allowPositionals });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`${error.message}\n\n${help}`);
    process.exit(MISUSED);
  }
}
