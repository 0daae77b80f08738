/** What an app threw, in words with its place: `app.js:12:5: TypeError: not a function, in update`. Pure. */

/** A stack of recursions has hundreds of lines; the first ones say where. */
const STACK_CHARACTERS_MAX = 2_000;
const MESSAGE_CHARACTERS_MAX = 300;

export interface Thrown {
  /** Empty for what is no error. */
  readonly name: string;
  readonly message: string;
  readonly stack: string;
}

/** `what` is what the app was doing: its module, init or update. */
export function describeThrown({ name, message, stack }: Thrown, what: string): string {
  const [, place] = /\b(app\.js:\d+(?::\d+)?)/.exec(stack.slice(0, STACK_CHARACTERS_MAX)) ?? [];
  const said = message.slice(0, MESSAGE_CHARACTERS_MAX);
  return `${place ?? "app.js"}: ${name === "" ? `threw ${said}` : `${name}: ${said}`}, in ${what}`;
}

/** Where it was when its time was over. */
export function describeLate({ stack }: Thrown, what: string, msMax: number): string {
  const [, place] = /\b(app\.js:\d+(?::\d+)?)/.exec(stack.slice(0, STACK_CHARACTERS_MAX)) ?? [];
  return `${place ?? "app.js"}: ${what} did not finish within ${msMax} ms`;
}
