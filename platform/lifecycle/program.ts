/** Runs a program from its start to its exit code: signals, ordered stop, and the last handler of bugs. */
import { type Failure, isFailure } from "#domain/failure.ts";
import { type Clock, systemClock } from "../clock.ts";
import { createLogger, type Logger } from "../logging.ts";

/** Exit codes, those of sysexits.h where it has one. */
export const EXIT = {
  stopped: 0,
  /** EX_USAGE: no such argument. */
  usage: 64,
  /** EX_UNAVAILABLE: the program could not start. */
  startFailed: 69,
  /** EX_SOFTWARE: a bug reached the last handler. */
  bug: 70,
  /** The stop took longer than it may. */
  stopTimedOut: 75,
  /** EX_CONFIG. */
  configInvalid: 78,
} as const;

/** What a supervisor waits before it kills, in Kubernetes 30 s and in systemd 90 s, is longer than this. */
export const STOP_MS_MAX = 10_000;

export interface ProgramOptions {
  readonly name: string;
  /** Resolves with what is to be disposed of at the end. The signal is aborted when the program is told to stop. */
  readonly start: (signal: AbortSignal) => Promise<RunningProgram>;
}

export interface RunningProgram extends AsyncDisposable {
  /** Reads its files again, at each SIGHUP; a program without it is ended by one. */
  readonly reload?: () => void;
}

/** Resolves never: the process exits. Only a `main.ts` calls this. */
export async function runProgram(options: ProgramOptions): Promise<never> {
  const logger = createLogger({ program: options.name, level: "info" });
  const stopping = new AbortController();
  exitOnBugs(logger);
  const told = stopOnSignals(stopping);
  let running: RunningProgram;
  try {
    running = await options.start(stopping.signal);
  } catch (error) {
    if (stopping.signal.aborted) return process.exit(EXIT.stopped);
    return process.exit(reportFailedStart(options.name, error, logger));
  }
  const { reload } = running;
  if (reload !== undefined) process.on("SIGHUP", () => reload());
  await told;
  return process.exit(await stop(running, systemClock, logger));
}

function exitOnBugs(logger: Logger): void {
  const exit = (error: unknown): void => {
    logger.error({ err: error }, "uncaught error, exiting");
    process.exit(EXIT.bug);
  };
  process.on("uncaughtException", exit);
  process.on("unhandledRejection", exit);
}

/** Resolves at the first signal; the second ends the process at once with the shell's code for it. */
function stopOnSignals(stopping: AbortController): Promise<void> {
  return new Promise((resolve) => {
    const codes = { SIGINT: 130, SIGTERM: 143 } as const;
    for (const [signal, code] of Object.entries(codes)) {
      process.on(signal, () => {
        if (stopping.signal.aborted) process.exit(code);
        stopping.abort(new Error(`stopped by ${signal}`));
        resolve();
      });
    }
  });
}

function reportFailedStart(name: string, error: unknown, logger: Logger): number {
  if (!isFailure(error)) {
    logger.error({ err: error }, "start failed by a bug");
    return EXIT.bug;
  }
  process.stderr.write(`${plainly(name, error)}\n`);
  return error.code === "config-invalid" ? EXIT.configInvalid : EXIT.startFailed;
}

function plainly(name: string, failure: Failure): string {
  if (failure.code === "config-invalid") return `${name}: the configuration has faults\n${failure.message}`;
  return `${name}: cannot start (${failure.code}): ${failure.message}`;
}

async function stop(running: AsyncDisposable, clock: Clock, logger: Logger): Promise<number> {
  const deadline = clock.timer(STOP_MS_MAX, () => {
    logger.error({ stopMsMax: STOP_MS_MAX }, "stop took too long, exiting");
    process.exit(EXIT.stopTimedOut);
  });
  try {
    await running[Symbol.asyncDispose]();
    return EXIT.stopped;
  } catch (error) {
    logger.error({ err: error }, "stop failed");
    return EXIT.bug;
  } finally {
    deadline[Symbol.dispose]();
  }
}
