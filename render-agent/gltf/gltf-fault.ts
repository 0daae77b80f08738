/** What is wrong with a glTF file, and where. Pure. */
import { Failure } from "#domain/failure.ts";

/** `path` as in `accessors[3].count`; `problem` says what was expected and what was there. */
export function refuse(path: string, problem: string): never {
  throw new Failure("scene-invalid", `scene: ${path} ${problem}`);
}

/** The entry of one of the file's arrays that `path` points at. */
export function entryOf<Entry>(list: readonly Entry[] | undefined, index: number, path: string, name: string): Entry {
  const entry = list?.[index];
  if (entry === undefined) refuse(path, `must be one of ${list?.length ?? 0} ${name}, got ${index}`);
  return entry;
}
