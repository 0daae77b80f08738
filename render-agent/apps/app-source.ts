/** The module of an app: one text, of bounded size. Pure. */
import { Failure } from "#domain/failure.ts";

/** Ten thousand lines; what is larger carries data, which belongs to the scene. */
export const APP_BYTES_MAX = 1024 * 1024;
/** Stands beside the scene's file, in its folder. */
export const APP_FILE_NAME = "app.js";

/** Throws `app-invalid`. */
export function parseAppSource(bytes: Uint8Array): string {
  if (bytes.byteLength > APP_BYTES_MAX) {
    throw new Failure("app-invalid", `app.js: must have at most ${APP_BYTES_MAX} bytes, got ${bytes.byteLength}`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Failure("app-invalid", "app.js: must be text in UTF-8", { cause });
  }
}
