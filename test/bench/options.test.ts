import { spawnSync } from "node:child_process";
import { join } from "node:path";
import t from "tap";

const OPTIONS = JSON.stringify(join(import.meta.dirname, "options.ts"));

function given(...args: readonly string[]) {
  const code = `import { parseOptions } from ${OPTIONS};
    const { values } = parseOptions("HELP", { edges: { type: "string", default: "50" }, folder: { type: "string" } });
    console.log(JSON.stringify(values));`;
  const words = ["--input-type=module", "-e", code, "--", ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: "utf8" });
  return { status, stdout, stderr };
}

t.test("what is no option, and what should be a number and is none, ends the script with what there is", async (t) => {
  t.same(given(), { status: 0, stdout: '{"edges":"50"}\n', stderr: "" });
  t.match(given("--edges", "2.5", "--folder", "x"), { status: 0, stdout: '{"edges":"2.5","folder":"x"}\n' });
  for (const value of ["x", "", "5x"])
    t.match(given("--edges", value), {
      status: 2,
      stdout: "",
      stderr: `Option '--edges' takes a number, as 50, got '${value}'\n\nHELP\n`,
    });
  t.match(given("--edgez", "1"), { status: 2, stdout: "", stderr: /^Unknown option '--edgez'.*HELP\n$/s });
});
