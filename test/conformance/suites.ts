/** The two layouts of http-cache-tests: the registry's 0.4.5, and a checkout of its repository. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { unpackPinnedPackage } from "./pinned-package.ts";
import { AGAINST_THE_RFCS, type Expectations, SUPERSEDED } from "./verdict.ts";

export interface Suite {
  readonly name: string;
  readonly server: string;
  readonly runner: string;
  readonly tests: string;
  /** The package takes its `fetch` as an argument; the checkout brings its own. */
  readonly takesFetch: boolean;
  readonly expected: Expectations;
}

export function pinnedSuite(root: string, folder: string): Suite {
  const at = unpackPinnedPackage(root, folder);
  return {
    name: "http-cache-tests 0.4.5",
    ...partsOf(at, at),
    takesFetch: true,
    expected: { required: 157, optimal: 86, allowedToFail: new Set([...AGAINST_THE_RFCS, ...SUPERSEDED]) },
  };
}

export function checkedOutSuite(folder: string): Suite {
  const at = resolve(folder);
  const suite = {
    name: `the suite in ${folder}`,
    ...partsOf(join(at, "test-engine"), at),
    takesFetch: false,
    expected: { required: 160, optimal: 105, allowedToFail: new Set(AGAINST_THE_RFCS) },
  };
  const missing = [suite.server, suite.runner, suite.tests].filter((path) => !existsSync(path));
  if (missing.length > 0)
    throw new Error(`${folder} is no checkout of http-tests/cache-tests: no ${missing.join(", ")}`);
  return suite;
}

function partsOf(engine: string, root: string): Pick<Suite, "server" | "runner" | "tests"> {
  return {
    server: join(engine, "server", "server.mjs"),
    runner: join(engine, "client", "runner.mjs"),
    tests: join(root, "tests", "index.mjs"),
  };
}
