/** Reads the command line of `npm run loadtest`. Pure. */
import { parseArgs } from "node:util";

export const SCENARIOS = ["content", "sessions", "outage"] as const;
export type Scenario = (typeof SCENARIOS)[number];

export interface Wish {
  readonly kind: "run";
  readonly scenarios: readonly Scenario[];
  readonly isSmoke: boolean;
  readonly isJson: boolean;
  /** A running system; absent: one is started for the run. */
  readonly target: { readonly scheduler: string; readonly contextFile: string } | undefined;
  readonly reportFolder: string;
}

export type ReadArguments = Wish | { readonly kind: "help" } | { readonly kind: "wrong"; readonly message: string };

export const HELP = `loadtest: k6 against a running Perigee; prints a line for each threshold and writes an HTML report.

  npm run loadtest -- [--smoke] [--json] [--scenario NAME]... [--target URL --context FILE] [--report FOLDER]

  --smoke           short, for continuous integration (3 minutes in all)
  --json            last line: the result as JSON
  --scenario NAME   ${SCENARIOS.join(", ")}; repeat for several (all)
  --target URL      the scheduler of a running system, with --context for the command line; the outage needs
                    a system that this program started. Without: \`perigee dev\` on free ports, in a temporary folder
  --report FOLDER   where the report goes (loadtests/report)

Exit status: 0 every threshold met, 1 one missed, 2 wrong arguments, 3 something could not run.
`;

export function readArguments(words: readonly string[]): ReadArguments {
  const options = {
    smoke: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
    scenario: { type: "string", multiple: true },
    target: { type: "string" },
    context: { type: "string" },
    report: { type: "string", default: "loadtests/report" },
  } as const;
  try {
    const { values } = parseArgs({ args: [...words], options });
    if (values.help) return { kind: "help" };
    const named = values.scenario ?? [...SCENARIOS];
    const unknown = named.filter((name) => !isScenario(name));
    if (unknown.length > 0)
      return wrong(`there is no scenario ${unknown.join(", ")}; there are ${SCENARIOS.join(", ")}`);
    const { target: scheduler, context: contextFile } = values;
    if ((scheduler === undefined) !== (contextFile === undefined)) {
      return wrong("--target and --context belong together");
    }
    const target = scheduler === undefined || contextFile === undefined ? undefined : { scheduler, contextFile };
    if (target !== undefined && values.scenario?.includes("outage")) {
      return wrong("the outage stops processes: it runs only against a system that this program started");
    }
    const isPossible = (name: Scenario): boolean => target === undefined || name !== "outage";
    return {
      kind: "run",
      scenarios: SCENARIOS.filter((name) => named.includes(name) && isPossible(name)),
      isSmoke: values.smoke,
      isJson: values.json,
      target,
      reportFolder: values.report,
    };
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
}

function wrong(message: string): ReadArguments {
  return { kind: "wrong", message };
}

function isScenario(name: string): name is Scenario {
  return SCENARIOS.some((known) => known === name);
}
