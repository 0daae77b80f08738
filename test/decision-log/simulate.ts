/** `perigee simulate` in this process, and a log of decisions that says nothing of itself. */
import { runCommandLine } from "#cli/program.ts";

export async function simulate(...words: string[]) {
  const out: string[] = [];
  const notes: string[] = [];
  const code = await runCommandLine(["simulate", ...words], {
    output: { line: (text) => out.push(text), note: (text) => notes.push(text) },
    environment: { variables: { HOME: "/nowhere" }, folder: "/nowhere" },
    signal: new AbortController().signal,
    killSignal: new AbortController().signal,
  });
  return { code, out: out.join("\n"), notes: notes.join("\n") };
}

const none = (): void => undefined;

export const QUIET = {
  ...{ logged: none, lost: none, failed: none, mended: none, dropped: none, sized: none },
  ...{ tornAtStart: none, damagedAtStart: none },
};
