/** Fetches every address that a log of `npm start` prints; exits 0 if all that it should print are there and answer. */
import { readFile } from "node:fs/promises";
import { ask } from "../one-machine/ask.ts";

/** Three sites by steering, one at each of three edges, three pages for operators, the metrics of seven programs. */
const ADDRESSES_MIN = 16;
const ANSWER_TIMEOUT_MS = 5_000;
const REDIRECTS_MAX = 3;

/** The status of the last answer; follows redirects, as user agents do. */
async function fetchStatus(url: URL, redirectsLeft = REDIRECTS_MAX): Promise<number> {
  const { status, location } = await ask(url, AbortSignal.timeout(ANSWER_TIMEOUT_MS));
  if (location === undefined || redirectsLeft === 0) return status;
  return fetchStatus(new URL(location, url), redirectsLeft - 1);
}

const log = await readFile(process.argv[2] ?? "/dev/stdin", "utf8");
const urls = [...new Set(log.match(/\bhttp:\/\/[^\s"'<>,)]+/g) ?? [])];
let failed = 0;
for (const url of urls) {
  const status = await fetchStatus(new URL(url)).catch((error: unknown) => String(error));
  const answers = typeof status === "number" && status >= 200 && status < 400;
  if (!answers) failed += 1;
  console.log(`${answers ? "answers" : "FAILS"} ${status} ${url}`);
}
if (urls.length < ADDRESSES_MIN) console.log(`FAILS: ${urls.length} addresses printed, expected ${ADDRESSES_MIN}`);
process.exit(failed === 0 && urls.length >= ADDRESSES_MIN ? 0 : 1);
