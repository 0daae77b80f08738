/** `perigee`: the operator's command. */
import { runCommandLine } from "./program.ts";

const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupt.abort());

process.exitCode = await runCommandLine(process.argv.slice(2), {
  output: {
    line: (text) => process.stdout.write(`${text}\n`),
    note: (text) => process.stderr.write(`${text}\n`),
  },
  environment: { variables: process.env, folder: process.cwd() },
  signal: interrupt.signal,
});
