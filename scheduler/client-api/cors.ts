/** What pages of other web origins may call (the Fetch standard's CORS protocol): all of it, without cookies. */
import type { ApiServer } from "#platform/http/api-server.ts";

/** Ten minutes: a page asks once before its calls, and a change is soon everywhere. */
const PREFLIGHT_SECONDS = 600;
const OPEN_PATH = /^\/v1\/(steer|measurements|sessions)(\/|\?|$)/;

/**
 * No cookie or other ambient authority is taken, so the answer may be read by any page: what admits a call is the app
 * token, whose web origins are checked against the Origin field, and the proof of the client's key.
 */
export function allowPages(server: ApiServer): void {
  server.addHook("onRequest", async (request, reply) => {
    if (!OPEN_PATH.test(request.raw.url ?? "")) return;
    reply.header("access-control-allow-origin", "*");
    const isPreflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
    if (!isPreflight) {
      reply.header("access-control-expose-headers", "retry-after");
      return;
    }
    await reply
      .code(204)
      .header("access-control-allow-methods", "GET, POST, DELETE")
      .header("access-control-allow-headers", "authorization, content-type")
      .header("access-control-max-age", String(PREFLIGHT_SECONDS))
      .send();
  });
}
