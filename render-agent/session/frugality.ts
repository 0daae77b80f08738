/** What keeps a session's process small: bounds for the two allocators in it, and code that is compiled once a machine. */
import { getCompileCacheDir } from "node:module";
import { dirname } from "node:path";
import type { Environment } from "../renderer/software-vulkan.ts";

/** V8 lets the young generation grow to 32 MiB of what dies within a frame; a frame's own objects are some kilobytes. */
export const SEMI_SPACE_MIB_MAX = 1;
/** glibc makes an arena for each thread that meets another: some twenty of them keep what a few have freed. */
export const MALLOC_ARENAS_MAX = 2;
/** glibc's own, which it raises with each larger block that is freed: pictures then stay in the arena that they were in. */
export const MALLOC_MMAP_THRESHOLD_BYTES = 131_072;

/** For V8; threads of the process have it too. */
export function frugalArguments(): string[] {
  return [`--max-semi-space-size=${SEMI_SPACE_MIB_MAX}`];
}

/** Read before the first line of a program runs: what is enabled later leaves the type stripper of Node (17 MB) loaded. */
export function frugalEnvironment(): Environment {
  return {
    MALLOC_ARENA_MAX: String(MALLOC_ARENAS_MAX),
    MALLOC_MMAP_THRESHOLD_: String(MALLOC_MMAP_THRESHOLD_BYTES),
    ...sharedCompileCache(),
  };
}

/** Of this process, for what it starts; nothing where it has none. */
export function sharedCompileCache(): Environment {
  const folder = getCompileCacheDir();
  // The folder is named after version and architecture, in the one that was asked for.
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: dirname(folder) };
}
