/** Reads JSON that strangers wrote: how many values it has and how deep they lie is known before any is made. Pure. */
import { Failure } from "#domain/failure.ts";

/** Checks of a schema go down as deep as the values do, on the stack. */
const JSON_DEPTH_MAX = 64;

const [QUOTE, ESCAPE, COMMA] = [0x22, 0x5c, 0x2c];
const [OPENING_BRACKET, CLOSING_BRACKET, OPENING_BRACE, CLOSING_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d];

export interface JsonLimits {
  readonly bytesMax: number;
  /** A check that fails takes 10 µs a value. */
  readonly valuesMax: number;
}

/** Throws `scene-invalid`. */
export function parseBoundedJson(bytes: Uint8Array, { bytesMax, valuesMax }: JsonLimits): unknown {
  const refuse = (problem: string, cause?: unknown): never => {
    throw new Failure("scene-invalid", `scene: ${problem}`, { cause });
  };
  if (bytes.byteLength > bytesMax) refuse(`must have at most ${bytesMax} bytes of JSON, got ${bytes.byteLength}`);
  const { values, depth } = measureJson(bytes);
  if (values > valuesMax) refuse(`must have at most ${valuesMax} values, got ${values}`);
  if (depth > JSON_DEPTH_MAX) refuse(`must be at most ${JSON_DEPTH_MAX} deep, got ${depth}`);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    return refuse("must be JSON in UTF-8", cause);
  }
}

/** At least as many as there are; of what is no JSON, anything. */
function measureJson(bytes: Uint8Array): { readonly values: number; readonly depth: number } {
  let [values, open, depth] = [1, 0, 0];
  let isString = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === QUOTE) isString = !isString;
    else if (isString) at += byte === ESCAPE ? 1 : 0;
    else if (byte === COMMA) values += 1;
    else if (byte === OPENING_BRACKET || byte === OPENING_BRACE) {
      values += 1;
      open += 1;
      depth = Math.max(depth, open);
    } else if (byte === CLOSING_BRACKET || byte === CLOSING_BRACE) open -= 1;
  }
  return { values, depth };
}
