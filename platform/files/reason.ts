/** Why the file system refused, as a person says it. */
import { getSystemErrorMessage } from "node:util";

/** Of a system error what the system calls it ("no such file or directory"), without call and number; else its message. */
export function fileReasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const errno = "errno" in error && typeof error.errno === "number" ? error.errno : 0;
  return errno < 0 ? getSystemErrorMessage(errno) : error.message;
}
