/** `perigee join-token`, `app-token` and `operator-token`. */
import { type Command, Option } from "commander";
import {
  APP_TOKEN_LIFETIME_SECONDS_DEFAULT,
  OPERATOR_TOKEN_LIFETIME_SECONDS_DEFAULT,
} from "#contracts/operator-api/operator.ts";
import { isOriginPattern } from "#contracts/tokens/web-origins.ts";
import { Failure } from "#domain/failure.ts";
import { NODE_ROLES } from "#domain/fleet/node.ts";
import { parseName } from "#domain/ids.ts";
import { fieldOf, printValue, resultOption, textOf } from "../output.ts";
import { apiOf, type CommandSession } from "./session.ts";

interface JoinOptions {
  readonly role: string;
  readonly name: string;
  readonly pool?: string;
  readonly lifetime: string;
  readonly output: string;
}

export function addJoinToken(program: Command, session: CommandSession): void {
  program
    .command("join-token")
    .description("make a one-time token with which one node joins, and the pin of the authority it must meet")
    .addOption(new Option("--role <role>").choices([...NODE_ROLES]).default("edge"))
    .requiredOption("--name <name>", "the node's name; the token is good for no other")
    .option("--pool <pool>", "the node's pool; a scheduler has none")
    .option("--lifetime <seconds>", "how long the token may be used", "3600")
    .addOption(resultOption())
    .addHelpText("after", "\nExample:\n  perigee join-token --role edge --name near-1 --pool near")
    .action(async (options: JoinOptions, command: Command) => {
      const pool = options.pool === undefined ? {} : { pool: parseName(options.pool, "--pool") };
      const body = {
        role: options.role,
        name: parseName(options.name, "--name"),
        ...pool,
        lifetimeSeconds: parseSeconds(options.lifetime),
      };
      const answer = await apiOf(command, session).origin({ method: "POST", path: "/v1/join-tokens", body });
      if (options.output === "json") {
        printValue(session.output, "json", answer);
        return;
      }
      session.output.line(`token  ${textOf(fieldOf(answer, "token"))}`);
      session.output.line(`pin    ${textOf(fieldOf(answer, "pin"))}`);
    });
}

interface AppTokenOptions {
  readonly app: string;
  readonly webOrigin: string[];
  readonly sessions: string;
  readonly tenant?: string;
  readonly lifetime: string;
  readonly output: string;
}

export function addAppToken(program: Command, session: CommandSession): void {
  program
    .command("app-token")
    .description("make a token with which a web application opens sessions of one RenderApp")
    .requiredOption("--app <name>")
    .requiredOption("--web-origin <pattern...>", "where its pages come from, `*` for one label or the port")
    .option("--sessions <count>", "sessions at once", "100")
    .option("--tenant <name>", "whose sessions they are, for policies to match")
    .option("--lifetime <seconds>", "how long pages may use it", String(APP_TOKEN_LIFETIME_SECONDS_DEFAULT))
    .addOption(resultOption())
    .addHelpText(
      "after",
      "\nExample:\n  perigee app-token --app hall --web-origin 'https://vr.example' 'https://vr.*.edge.example'",
    )
    .action(async (options: AppTokenOptions, command: Command) => {
      const maxSessions = Number(options.sessions);
      if (!Number.isSafeInteger(maxSessions) || maxSessions < 1) {
        throw new Failure(
          "argument-invalid",
          `--sessions must be a whole number from 1, got ${JSON.stringify(options.sessions)}`,
        );
      }
      const tenant = options.tenant === undefined ? {} : { tenant: parseName(options.tenant, "--tenant") };
      const lifetimeSeconds = parseSeconds(options.lifetime);
      const named = { app: parseName(options.app, "--app"), origins: options.webOrigin.map(parseOriginPattern) };
      const body = { ...named, maxSessions, lifetimeSeconds, ...tenant };
      const answer = await apiOf(command, session).origin({ method: "POST", path: "/v1/app-tokens", body });
      printToken(session, options.output, answer);
    });
}

interface OperatorTokenOptions {
  readonly subject: string;
  readonly scope: string[];
  readonly lifetime: string;
  readonly output: string;
}

export function addOperatorToken(program: Command, session: CommandSession): void {
  program
    .command("operator-token")
    .description("make a token for an operator or a pipeline; it is printed once")
    .requiredOption("--subject <who>")
    .requiredOption("--scope <scope...>", "admin, read, apply, join, publish:SITE or publish:*")
    .option("--lifetime <seconds>", "how long it may be used", String(OPERATOR_TOKEN_LIFETIME_SECONDS_DEFAULT))
    .addOption(resultOption())
    .addHelpText("after", "\nExample:\n  perigee operator-token --subject ci --scope publish:shop")
    .action(async (options: OperatorTokenOptions, command: Command) => {
      const lifetimeSeconds = parseSeconds(options.lifetime);
      const body = { subject: options.subject, scopes: options.scope, lifetimeSeconds };
      const answer = await apiOf(command, session).origin({ method: "POST", path: "/v1/operator-tokens", body });
      printToken(session, options.output, answer);
    });
}

/** The token alone goes to standard output, where a script takes it from. */
function printToken(session: CommandSession, format: string, answer: unknown): void {
  if (format === "json") {
    printValue(session.output, "json", answer);
    return;
  }
  session.output.line(textOf(fieldOf(answer, "token")));
  const expiresAtMs = fieldOf(answer, "expiresAtMs");
  if (typeof expiresAtMs === "number") session.output.note(`expires ${new Date(expiresAtMs).toISOString()}`);
}

function parseOriginPattern(text: string): string {
  if (isOriginPattern(text)) return text;
  const expected = "must be scheme, host and port as https://vr.example or http://*.localhost:*, without a path";
  throw new Failure("argument-invalid", `--web-origin ${expected}, got ${JSON.stringify(text)}`);
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (Number.isSafeInteger(seconds) && seconds > 0) return seconds;
  throw new Failure("argument-invalid", `--lifetime must be a whole number of seconds, got ${JSON.stringify(text)}`);
}
