/** STUN and TURN servers by configuration; who is handed them gets credentials that run out, and never the secret. */
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import Type, { type Static } from "typebox";
import { Failure } from "#domain/failure.ts";
import { type IceServer, STUN_URL_PATTERN, TURN_URL_PATTERN } from "#domain/session/ice-server.ts";
import { fileReasonOf } from "../files/reason.ts";

/** A browser asks each of them before it has its offer, and warns above four. */
export const ICE_SERVERS_MAX = 4;
export const ICE_URLS_MAX = 4;
/** A server that was handed out yesterday is of no use to whoever found it. */
export const TURN_LIFETIME_SECONDS_MAX = 86_400;
/** A session of an evening. */
const TURN_LIFETIME_SECONDS_USUAL = 43_200;
const TURN_LIFETIME_SECONDS_MIN = 60;

const closed = { additionalProperties: false };
const urls = (pattern: string, example: string) =>
  Type.Array(Type.String({ pattern, maxLength: 256 }), { minItems: 1, maxItems: ICE_URLS_MAX, description: example });

const stunServerSchema = Type.Object(
  { urls: urls(STUN_URL_PATTERN, "of one STUN server, as stun:stun.example:3478") },
  closed,
);

const turnServerSchema = Type.Object(
  {
    urls: urls(TURN_URL_PATTERN, "of one TURN server, as turn:turn.example:3478?transport=udp"),
    secretFile: Type.String({ minLength: 1, description: "what it shares with this program, one line" }),
    lifetimeSeconds: Type.Optional(
      Type.Integer({
        minimum: TURN_LIFETIME_SECONDS_MIN,
        maximum: TURN_LIFETIME_SECONDS_MAX,
        description: `of credentials; ${TURN_LIFETIME_SECONDS_USUAL} unless said, and longer than sessions last`,
      }),
    ),
  },
  closed,
);

export function iceServersSchema(description: string) {
  return Type.Array(Type.Union([stunServerSchema, turnServerSchema]), {
    ...{ default: [], maxItems: ICE_SERVERS_MAX, description },
  });
}

export type ConfiguredIceServer = Static<typeof stunServerSchema> | Static<typeof turnServerSchema>;

export interface IceServers {
  /** In the order of the configuration, with credentials for that user. */
  forUser(user: string, nowMs: number): readonly IceServer[];
}

/** `key` is where they stand in the configuration. Throws `config-invalid` for a secret that cannot be read. */
export async function openIceServers(key: string, configured: readonly ConfiguredIceServer[]): Promise<IceServers> {
  const opened = await Promise.all(configured.map((server, index) => open(`${key}[${index}]`, server)));
  return { forUser: (user, nowMs) => opened.map((issue) => issue(user, nowMs)) };
}

async function open(key: string, server: ConfiguredIceServer): Promise<(user: string, nowMs: number) => IceServer> {
  if (!("secretFile" in server)) return () => ({ urls: server.urls });
  const secret = await readSecret(`${key}.secretFile`, server.secretFile);
  const { urls: at, lifetimeSeconds = TURN_LIFETIME_SECONDS_USUAL } = server;
  return (user, nowMs) => ({ urls: at, ...turnCredential(secret, user, Math.floor(nowMs / 1000) + lifetimeSeconds) });
}

/** By which a TURN server knows who shares its secret ("A REST API For Access To TURN Services", draft-uberti-behave-turn-rest-00 section 2.2). */
export function turnCredential(secret: string, user: string, expiresAtSeconds: number) {
  const username = `${expiresAtSeconds}:${user}`;
  return { username, credential: createHmac("sha1", secret).update(username).digest("base64") };
}

async function readSecret(key: string, path: string): Promise<string> {
  let secret: string;
  try {
    secret = (await readFile(path, "utf8")).trim();
  } catch (cause) {
    throw new Failure("config-invalid", `${key}: ${path} cannot be read (${fileReasonOf(cause)})`, { cause });
  }
  if (secret !== "" && !/\s/.test(secret)) return secret;
  throw new Failure("config-invalid", `${key}: ${path} must have one line with the secret`);
}
