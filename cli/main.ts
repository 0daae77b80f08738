/** `perigee`: the operator's command. */
import { getEventListeners } from "node:events";
import { enableCompileCache } from "node:module";
import { systemClock } from "#platform/clock.ts";

// Before anything large is loaded: an operator waits for each command.
enableCompileCache();

/** What a shell reports for a process that a signal has ended. */
const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
const BROKEN_PIPE_CODE = 141;
/** npm passes on what the terminal has sent to its programs too: within this it is the same Ctrl-C. */
const SAME_INTERRUPT_MS = 300;

const interrupt = new AbortController();
const kill = new AbortController();
let interruptedAtMs = 0;
/** Of a command that goes on: told to read its files again. */
const hangUps = new Set<() => void>();
for (const [signal, code] of Object.entries(EXIT_CODES)) {
  process.on(signal, () => {
    if (signal === "SIGHUP" && hangUps.size > 0) return hangUps.forEach((listen) => void listen());
    const nowMs = systemClock.monotonicMs();
    if (interrupt.signal.aborted && nowMs - interruptedAtMs < SAME_INTERRUPT_MS) return;
    // A command that does not ask to be told has nothing to end in order.
    const isAwaited = !interrupt.signal.aborted && getEventListeners(interrupt.signal, "abort").length > 0;
    interruptedAtMs = nowMs;
    if (isAwaited) return interrupt.abort();
    kill.abort();
    process.exit(code);
  });
}

// As in `perigee get site | head`: who reads has gone, and that is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(BROKEN_PIPE_CODE);
});

const { runCommandLine } = await import("./program.ts");
process.exitCode = await runCommandLine(process.argv.slice(2), {
  output: {
    line: (text) => process.stdout.write(`${text}\n`),
    note: (text) => process.stderr.write(`${text}\n`),
  },
  environment: { variables: process.env, folder: process.cwd() },
  signal: interrupt.signal,
  killSignal: kill.signal,
  onHangUp(listener) {
    hangUps.add(listener);
    return { [Symbol.dispose]: () => void hangUps.delete(listener) };
  },
});
