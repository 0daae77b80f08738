/** The life of a session over HTTP: created by app token, then called by proof of the client's key. */
import Type from "typebox";
import {
  createSessionSchema,
  endSessionSchema,
  placementAnswerSchema,
  renewSessionSchema,
  sessionCandidatesSchema,
  sessionProbesSchema,
} from "#contracts/operator-api/sessions.ts";
import type { ApiServer } from "#platform/http/api-server.ts";
import type { SessionService } from "../session/session-service.ts";
import { type AccessPorts, authoriseApp } from "./access.ts";

export interface SessionRouteParts {
  readonly access: AccessPorts;
  readonly sessions: SessionService;
  readonly clientUrl: string;
}

const sessionParams = Type.Object(
  { session: Type.String({ pattern: "^[A-Za-z0-9_-]{8,64}$" }) },
  { additionalProperties: false },
);

export function addSessionRoutes(server: ApiServer, { access, sessions, clientUrl }: SessionRouteParts): void {
  const urlOf = (session: string, call = ""): string =>
    `${clientUrl}/v1/sessions/${encodeURIComponent(session)}${call}`;
  server.post(
    "/v1/sessions",
    { schema: { body: createSessionSchema, response: { 201: sessionCandidatesSchema } } },
    async (request, reply) => {
      const claims = await authoriseApp(access, request.headers);
      return reply.code(201).send(await sessions.create(claims, request.body, request.ip));
    },
  );
  server.post(
    "/v1/sessions/:session/probes",
    { schema: { params: sessionParams, body: sessionProbesSchema, response: { 200: placementAnswerSchema } } },
    async (request) => {
      const { session } = request.params;
      return sessions.place({ session, url: urlOf(session, "/probes") }, request.body);
    },
  );
  server.post(
    "/v1/sessions/:session/renew",
    {
      schema: {
        params: sessionParams,
        body: renewSessionSchema,
        response: { 200: placementAnswerSchema, 204: Type.Null({ description: "keep what you have" }) },
      },
    },
    async (request, reply) => {
      const { session } = request.params;
      const call = { session, url: urlOf(session, "/renew"), clientAddress: request.ip };
      const answer = await sessions.renew(call, request.body);
      return answer === undefined ? reply.code(204).send(null) : answer;
    },
  );
  server.delete(
    "/v1/sessions/:session",
    { schema: { params: sessionParams, body: endSessionSchema, response: { 204: Type.Null() } } },
    async (request, reply) => {
      const { session } = request.params;
      await sessions.end({ session, url: urlOf(session) }, request.body);
      return reply.code(204).send(null);
    },
  );
}
