import { spawnSync } from "node:child_process";
import { join } from "node:path";
import t from "tap";

const ROOT = join(import.meta.dirname, "..", "..");

t.test("a script says what is wrong with its options, and which there are", async (t) => {
  for (const script of ["edge-node/bench/eviction.bench.ts", "test/soak/run.ts"]) {
    const { status, stderr, stdout } = spawnSync(process.execPath, [join(ROOT, script), "--nope"], {
      encoding: "utf8",
    });
    t.equal(status, 2, script);
    t.match(stderr, /Unknown option '--nope'.*\n\n.*\[options\].*\n {2}--/);
    t.notMatch(stderr, /\n {4}at /, "no stack");
    t.equal(stdout, "");
  }
});
