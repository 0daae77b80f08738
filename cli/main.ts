/** `perigee`: the operator's command. */
import { runCommandLine } from "./program.ts";

const interrupt = new AbortController();
const kill = new AbortController();
/** What a shell reports for a process that a signal has ended. */
const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
for (const [signal, code] of Object.entries(EXIT_CODES)) {
  process.on(signal, () => {
    if (!interrupt.signal.aborted) return interrupt.abort();
    kill.abort();
    process.exit(code);
  });
}

process.exitCode = await runCommandLine(process.argv.slice(2), {
  output: {
    line: (text) => process.stdout.write(`${text}\n`),
    note: (text) => process.stderr.write(`${text}\n`),
  },
  environment: { variables: process.env, folder: process.cwd() },
  signal: interrupt.signal,
  killSignal: kill.signal,
});
