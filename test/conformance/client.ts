/** The suite's own client, in a process of its own since it keeps its state in modules: runs the tests, sends the outcomes. */
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import Type from "typebox";
import { Value } from "typebox/value";
import { plainFetch } from "./plain-fetch.ts";
import type { TestOutcome } from "./verdict.ts";

/** Most of a test is pauses of 3 s; more at once would make answers late on two cores. */
const AT_ONCE = 25;

const TESTS = Type.Array(
  Type.Object({ tests: Type.Array(Type.Object({ id: Type.String(), kind: Type.Optional(Type.String()) })) }),
);
const RESULTS = Type.Record(Type.String(), Type.Union([Type.Literal(true), Type.Array(Type.String())]));

const { values: options } = parseArgs({
  options: {
    runner: { type: "string", default: "" },
    tests: { type: "string", default: "" },
    base: { type: "string", default: "" },
    "takes-fetch": { type: "boolean", default: false },
    id: { type: "string" },
  },
});

async function moduleAt(path: string): Promise<ReadonlyMap<string, unknown>> {
  const loaded: unknown = await import(pathToFileURL(path).href);
  return new Map(Object.entries(Object(loaded)));
}

async function call(of: ReadonlyMap<string, unknown>, name: string, ...words: readonly unknown[]): Promise<unknown> {
  const called = of.get(name);
  if (typeof called !== "function") throw new Error(`the suite's runner exports no ${name}()`);
  return await called(...words);
}

const runner = await moduleAt(options.runner);
const suites = Value.Parse(TESTS, (await moduleAt(options.tests)).get("default"));
const wanted = suites.map((suite) => ({
  ...suite,
  tests:
    options.id === undefined
      ? suite.tests
      : suite.tests.filter(({ id }) => id === options.id).map((test) => ({ ...test, dump: true })),
}));
const fetchWords = options["takes-fetch"] ? [plainFetch] : [];
await call(runner, "runTests", wanted, ...fetchWords, false, options.base, AT_ONCE);
const results = Value.Parse(RESULTS, await call(runner, "getResults"));
const outcomes = wanted
  .flatMap(({ tests }) => tests)
  .filter(({ id }) => id in results)
  .map(({ id, kind = "required" }): TestOutcome => {
    const result = results[id];
    return { id, kind, ...(Array.isArray(result) ? { failure: result.join(": ") } : {}) };
  });
process.send?.(outcomes);
process.disconnect?.();
