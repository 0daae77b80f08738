import { readFileSync } from "node:fs";
import t from "tap";
import { SOFTWARE_VERSION } from "./version.ts";

t.test("the package has the same version", async (t) => {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  t.equal(version, SOFTWARE_VERSION);
});
