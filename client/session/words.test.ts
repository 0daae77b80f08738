import t from "tap";
import { NOTHING_KNOWN } from "./session-ports.ts";
import { describeSession } from "./words.ts";

t.test("who cannot reach anybody is told of the two prompts that look like it", (t) => {
  const problem = { code: "no-edge-answers", message: "no edge of near answers" };
  const facts = { ...NOTHING_KNOWN, problem, retryAtMs: 4000 };
  const { title, detail, canRetry } = describeSession({ phase: "waiting", facts }, 1000);
  t.equal(title, "It did not work yet");
  t.match(
    detail,
    /^no edge of near answers\. Where the browser asks .* network, allow it; .*certificate.* Asking again in 3 s\.$/,
  );
  t.ok(canRetry);
  t.end();
});

t.test("a problem without a remedy leaves no gap in the words", (t) => {
  const facts = { ...NOTHING_KNOWN, problem: { code: "overloaded", message: "Too many ask." }, retryAtMs: 2000 };
  t.equal(describeSession({ phase: "waiting", facts }, 1000).detail, "Too many ask. Asking again in 1 s.");
  t.end();
});
