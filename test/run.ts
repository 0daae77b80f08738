/** Runs every test but the suites apart (with --end-to-end or --behaviour: those), two files at a time, and ends with "N passed, N failed". */

import { join } from "node:path";
import { run } from "node:test";
import { listFiles } from "./source-files.ts";

/** Below this the listing is broken, not the repository tested. */
const TEST_FILES_MIN = 25;
/** Suites of real processes, which run only when they are asked for: their folders, and how many files they have at least. */
const SUITES = {
  "--end-to-end": { folders: ["test/end-to-end/"], filesMin: 1 },
  "--behaviour": {
    folders: [
      ...["test/behaviour/", "test/edge-origin/", "test/several-edges/", "test/processes/"],
      ...["test/reprojection/", "test/vr-sessions/"],
    ],
    filesMin: 34,
  },
} as const;
/** The smallest machine that is promised has two cores. */
const CONCURRENCY = 2;
const FILE_TIMEOUT_MS = 120_000;
/** A dozen processes started, killed and started again, and three minutes of serving by which sets are proven. */
const END_TO_END_FILE_TIMEOUT_MS = 360_000;
/** tap's own limit is 30 s for a whole file, which a loaded machine exceeds; shorter than the file's, so that it names the test. */
const TAP_BEFORE_FILE_MS = 10_000;

const root = join(import.meta.dirname, "..");
const words = process.argv.slice(2);
const isEndToEnd = words.includes("--end-to-end");
const [suite] = Object.entries(SUITES).flatMap(([flag, apart]) => (words.includes(flag) ? [apart] : []));
const wanted = words.filter((word) => !(word in SUITES));
const isOf = ({ folders }: { readonly folders: readonly string[] }, path: string): boolean =>
  folders.some((folder) => path.startsWith(folder));
const isOfSuite = (path: string): boolean =>
  suite === undefined ? !Object.values(SUITES).some((apart) => isOf(apart, path)) : isOf(suite, path);
const files = listFiles(root).filter(
  (path) =>
    path.endsWith(".test.ts") && isOfSuite(path) && (wanted.length === 0 || wanted.some((part) => path.includes(part))),
);
const filesMin = suite?.filesMin ?? TEST_FILES_MIN;
if (wanted.length === 0 && files.length < filesMin) {
  console.error(`found ${files.length} test files, expected ${filesMin} at least`);
  process.exit(1);
}

const fileTimeoutMs = isEndToEnd ? END_TO_END_FILE_TIMEOUT_MS : FILE_TIMEOUT_MS;
process.env["TAP_TIMEOUT"] ??= String((fileTimeoutMs - TAP_BEFORE_FILE_MS) / 1000);
/** Of an assertion or of what is thrown outside one, tap says no place: then the file that was run. */
const fileOf = (event: { readonly file?: string | undefined; readonly entryFile?: string }): string =>
  (event.file ?? event.entryFile)?.slice(root.length + 1) ?? "";
const stream = run({
  files: files.map((path) => join(root, path)),
  concurrency: CONCURRENCY,
  timeout: fileTimeoutMs,
});
/** A suite only repeats that one of its own tests failed; it has none where its teardown threw. */
const isRepeated = (error: Error): boolean =>
  "failureType" in error &&
  error.failureType === "subtestsFailed" &&
  !("failures" in error && Array.isArray(error.failures) && error.failures.length === 0);
stream.on("test:fail", (event) => {
  const { name, line, details } = event;
  if (isRepeated(details.error)) return;
  const file = fileOf(event);
  const error = details.error.cause ?? details.error;
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  console.log(`FAIL  ${file}:${line ?? ""} ${name}\n${message.replaceAll(/^/gm, "      ")}`);
});
// What an end-to-end test measured is a result as well.
stream.on("test:diagnostic", ({ file, message }) => {
  if (isEndToEnd && file !== undefined) console.log(`${file.slice(root.length + 1)}: ${message}`);
});
let unexplained = 0;
stream.on("test:pass", (event) => {
  const { name, line, skip } = event;
  if (skip === undefined || skip === false) return;
  // tap also calls a test skipped that has asserted nothing.
  const reason = typeof skip === "string" ? skip : "";
  if (reason === "") unexplained += 1;
  console.log(`SKIP  ${fileOf(event)}:${line ?? ""} ${name}: ${reason || "asserts nothing"}`);
});
stream.on("test:summary", ({ file, success, duration_ms, counts }) => {
  if (file !== undefined) return;
  const failed = counts.tests - counts.passed - counts.skipped - counts.todo + unexplained;
  const skipped = counts.skipped + counts.todo;
  console.log(`${files.length} files in ${(duration_ms / 1000).toFixed(1)} s`);
  console.log(`${counts.passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  process.exitCode = failed === 0 && success && counts.passed > 0 ? 0 : 1;
});
stream.resume();
