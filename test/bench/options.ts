/** The options of a script that people start by hand: what is not among them ends it with what there is. */
import { type ParseArgsConfig, parseArgs } from "node:util";

const MISUSED = 2;
const NUMBER = /^\d+(\.\d+)?$/;

export function parseOptions<const Options extends NonNullable<ParseArgsConfig["options"]>>(
  help: string,
  options: Options,
  allowPositionals = false,
) {
  try {
    const parsed = parseArgs({ options, allowPositionals });
    checkNumbers(options, parsed.values);
    return parsed;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`${error.message}\n\n${help}`);
    process.exit(MISUSED);
  }
}

/** An option that is a number where it is not given is one where it is. Throws `TypeError`, as `parseArgs` does. */
function checkNumbers(
  options: NonNullable<ParseArgsConfig["options"]>,
  values: Readonly<Record<string, unknown>>,
): void {
  for (const [name, { default: usual }] of Object.entries(options)) {
    const value = values[name];
    if (typeof usual !== "string" || !NUMBER.test(usual) || typeof value !== "string" || NUMBER.test(value)) continue;
    throw new TypeError(`Option '--${name}' takes a number, as ${usual}, got '${value}'`);
  }
}
