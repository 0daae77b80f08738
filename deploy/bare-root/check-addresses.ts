/** Fetches every address that a log of `npm start` prints; exits 0 if all that it should print are there and answer. */
import { readFile } from "node:fs/promises";
import { request } from "node:http";

/** The status page, the API page and the metrics. */
const ADDRESSES_MIN = 3;
const ANSWER_TIMEOUT_MS = 5_000;
const REDIRECTS_MAX = 3;

/** The status of the last answer; follows redirects, as user agents do. */
async function fetchStatus(url: URL, redirectsLeft = REDIRECTS_MAX): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; location: string | undefined }>();
  // Names below "localhost" are loopback by RFC 6761 section 6.3; a minimal resolver does not know it.
  const host = url.hostname.endsWith(".localhost") ? "127.0.0.1" : url.hostname;
  const options = { host, port: url.port, path: url.pathname + url.search, headers: { host: url.host } };
  request({ ...options, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) }, (response) => {
    response.resume();
    response.on("end", () => resolve({ status: response.statusCode ?? 0, location: response.headers.location }));
    response.on("error", reject);
  })
    .on("error", reject)
    .end();
  const { status, location } = await promise;
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
