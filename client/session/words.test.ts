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

t.test("who waits for a slot is told why the last place gave none", (t) => {
  const waiting = { ...NOTHING_KNOWN, bestAchievableMs: 27.4, retryAtMs: 4000 };
  const inWords =
    "No slot within the latency budget is free. The best place for it would take 27 ms. Asking again in 3 s.";
  t.equal(describeSession({ phase: "queued", facts: waiting }, 1000).detail, inWords);
  const problem = { code: "placement-refused", message: "app cube is not rendered here: app.js:3:11: SyntaxError" };
  const facts = { ...waiting, problem };
  t.equal(describeSession({ phase: "requeued", facts }, 1000).detail, `${inWords} ${problem.message}.`);
  t.end();
});
