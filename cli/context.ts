/** Which installation a command talks to: flags, then environment, then the context file. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { Failure } from "#domain/failure.ts";
import { faultsOf } from "#domain/schema-faults.ts";
import { parseSourceDocuments } from "#platform/yaml/documents.ts";
import { readTextFile } from "./text-file.ts";

/** What `perigee dev` writes and an operator may write by hand. */
export const contextSchema = Type.Object(
  {
    origin: Type.Optional(Type.String({ pattern: "^https?://" })),
    scheduler: Type.Optional(Type.String({ pattern: "^https?://" })),
    tokenFile: Type.Optional(Type.String({ minLength: 1 })),
  },
  { additionalProperties: false },
);
export type ContextFile = Static<typeof contextSchema>;

export interface GlobalFlags {
  readonly origin?: string;
  readonly scheduler?: string;
  readonly tokenFile?: string;
  readonly context?: string;
}

export interface Environment {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly folder: string;
}

export interface Context {
  readonly origin: string;
  readonly scheduler: string;
  readonly token: string;
}

/** Where `perigee dev` leaves the context of the one-machine start. */
export const LOCAL_CONTEXT_FILE = join(".perigee", "context.yaml");

const DEFAULT_ORIGIN = "http://127.0.0.1:7400";
const DEFAULT_SCHEDULER = "http://127.0.0.1:7410";

/** Throws `argument-invalid` where something is missing or unreadable, naming each way to give it. */
export function resolveContext(flags: GlobalFlags, { variables, folder }: Environment): Context {
  const file = readContextFile(flags.context ?? variables["PERIGEE_CONTEXT"], folder, variables["HOME"]);
  const tokenFile = flags.tokenFile ?? variables["PERIGEE_TOKEN_FILE"] ?? file.tokenFile;
  return {
    origin: trimSlash(flags.origin ?? variables["PERIGEE_ORIGIN"] ?? file.origin ?? DEFAULT_ORIGIN),
    scheduler: trimSlash(flags.scheduler ?? variables["PERIGEE_SCHEDULER"] ?? file.scheduler ?? DEFAULT_SCHEDULER),
    token: readToken(variables["PERIGEE_TOKEN"], tokenFile),
  };
}

function readContextFile(named: string | undefined, folder: string, home: string | undefined): ContextFile {
  const candidates =
    named === undefined
      ? [join(folder, LOCAL_CONTEXT_FILE), join(home ?? folder, ".config", "perigee", "context.yaml")]
      : [named];
  const file = candidates.find((candidate) => existsSync(candidate));
  if (file === undefined) {
    if (named !== undefined) throw new Failure("argument-invalid", `--context: there is no file ${named}`);
    return {};
  }
  const document = parseSourceDocuments(readTextFile(file), file)[0];
  const value: unknown = document?.value ?? {};
  if (Value.Check(contextSchema, value)) return value;
  const faults = faultsOf(Value.Errors(contextSchema, value), value);
  throw new Failure(
    "argument-invalid",
    faults.map((fault) => `${file}:${document?.lineOf(fault.pointer) ?? 1}: ${fault.message}`).join("\n"),
  );
}

/** RFC 6750 section 2.1: what a header can carry as a bearer token. */
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

function readToken(token: string | undefined, tokenFile: string | undefined): string {
  if (token !== undefined) return checkToken(token, "PERIGEE_TOKEN");
  if (tokenFile === undefined) {
    throw new Failure(
      "permission-denied",
      "no token: give --token-file FILE, set PERIGEE_TOKEN or PERIGEE_TOKEN_FILE, or run where `perigee dev` runs",
    );
  }
  return checkToken(readTextFile(tokenFile, `the token file ${tokenFile}`), `the token file ${tokenFile}`);
}

/** What is there is not shown: it may be a secret of another kind. */
function checkToken(text: string, where: string): string {
  const token = text.trim();
  if (TOKEN.test(token)) return token;
  throw new Failure(
    "argument-invalid",
    `${where} holds no token: a token is one word, as \`perigee operator-token\` prints it`,
  );
}

function trimSlash(url: string): string {
  return url.replace(/\/+$/, "");
}
