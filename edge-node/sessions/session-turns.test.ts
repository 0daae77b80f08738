import t from "tap";
import { CALLS_MAX, CALLS_OF_SESSION_MAX, SessionTurns } from "./session-turns.ts";

t.test(
  "calls of one session follow each other, those of others do not wait, and a failed one stops nobody",
  async (t) => {
    const turns = new SessionTurns();
    const seen: string[] = [];
    const gate = Promise.withResolvers<void>();
    const first = turns.run("a", async () => {
      seen.push("a1 begins");
      await gate.promise;
      seen.push("a1 ends");
      throw new Error("it failed");
    });
    const second = turns.run("a", async () => void seen.push("a2"));
    await turns.run("b", async () => void seen.push("b1"));
    gate.resolve();
    await t.rejects(first, { message: "it failed" });
    await second;
    t.same(seen, ["a1 begins", "b1", "a1 ends", "a2"]);
    await turns.run("a", async () => void seen.push("a3"));
    t.equal(seen.at(-1), "a3");
  },
);

t.test("more calls than the limits, of one session or of all, are refused at once", async (t) => {
  const turns = new SessionTurns();
  const gate = Promise.withResolvers<void>();
  const wait = (session: string) => turns.run(session, () => gate.promise);
  const running = Array.from({ length: CALLS_OF_SESSION_MAX }, () => wait("a"));
  await t.rejects(wait("a"), { code: "overloaded", retryable: true });
  for (let call = CALLS_OF_SESSION_MAX; call < CALLS_MAX; call += 1) running.push(wait(`session-${call}`));
  await t.rejects(wait("b"), { code: "overloaded" });
  gate.resolve();
  await Promise.all(running);
  await turns.run("a", async () => undefined);
  t.pass("and taken again afterwards");
});
