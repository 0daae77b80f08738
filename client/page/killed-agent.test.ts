import t from "tap";
import { followSession, gapMsOf } from "./killed-agent.ts";

const killed = { agent: "gpu-1", atMs: 1_000, isLeft: false };

t.test("pictures that were on their way when it was killed end no gap, another agent's do", async (t) => {
  t.equal(gapMsOf(killed, "gpu-1", 1_040), undefined);
  t.equal(gapMsOf(killed, "gpu-2", 2_300), 1_300);
  t.equal(gapMsOf(followSession(killed, { phase: "running" }), "gpu-1", 1_040), undefined);
});

t.test("an agent that was started again ends it too, by its own name", async (t) => {
  const resumed = followSession(followSession(killed, { phase: "resuming" }), { phase: "running" });
  t.equal(gapMsOf(resumed, "gpu-1", 3_200.4), 2_200);
});
