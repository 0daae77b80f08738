import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";

const CONTRACTS = import.meta.dirname;
const BIN = join(CONTRACTS, "..", "node_modules", ".bin");

function contentsOf(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(files.map((file) => [file.name, readFileSync(join(file.parentPath, file.name), "utf8")]));
}

t.test("the generated code is what the proto files say now", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "perigee-generate-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  for (const name of ["proto", "buf.yaml", "buf.gen.yaml"])
    cpSync(join(CONTRACTS, name), join(folder, name), { recursive: true });
  execFileSync(join(BIN, "buf"), ["generate"], { cwd: folder, env: { PATH: `${BIN}:/usr/bin:/bin`, HOME: folder } });
  const fresh = contentsOf(join(folder, "generated"));
  t.ok(fresh.size >= 10, `${fresh.size} files`);
  t.strictSame(contentsOf(join(CONTRACTS, "generated")), fresh, "run npm run generate");
});
