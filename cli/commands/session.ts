/** What every command gets: where to print, the environment, and the context once it is needed. */
import type { Command } from "commander";
import { type ApiRequest, callApi } from "../api-client.ts";
import { type Context, type Environment, type GlobalFlags, resolveContext } from "../context.ts";
import type { Output } from "../output.ts";

export interface CommandSession {
  readonly output: Output;
  readonly environment: Environment;
  /** Aborted when the operator interrupts. */
  readonly signal: AbortSignal;
  /** Aborted when the operator interrupts again: this process exits, and what it has started must end now. */
  readonly killSignal: AbortSignal;
  /** Runs at each SIGHUP until disposed of; without a listener it ends the process like the other signals. */
  readonly onHangUp?: (listener: () => void) => Disposable;
}

export interface Api {
  origin(request: Omit<ApiRequest, "base" | "token">): Promise<unknown>;
  scheduler(request: Omit<ApiRequest, "base" | "token">): Promise<unknown>;
}

/** Resolves the context from the command's global flags; throws `argument-invalid` where it is incomplete. */
export function apiOf(command: Command, session: CommandSession): Api {
  const flags: GlobalFlags = command.optsWithGlobals();
  return apiFor(resolveContext(flags, session.environment));
}

export function apiFor(context: Context): Api {
  return {
    origin: (request) => callApi({ ...request, base: context.origin, token: context.token }),
    scheduler: (request) => callApi({ ...request, base: context.scheduler, token: context.token }),
  };
}
