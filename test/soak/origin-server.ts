/** The origin server of the soak: answers by path, with ranges and conditions, and sometimes with trouble. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { closeServer, listen } from "#platform/http/listening.ts";
import { type Content, contentOf } from "./content.ts";

export interface OriginServer extends AsyncDisposable {
  readonly port: number;
}

export async function startOriginServer(): Promise<OriginServer> {
  const server = createServer(answer);
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
  return { port, [Symbol.asyncDispose]: () => closeServer(server) };
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const content = contentOf(request.url ?? "");
  request.resume();
  if (content === undefined) response.writeHead(404).end();
  else if (request.method === "POST") response.writeHead(204).end();
  else if (content.kind === "broken") response.writeHead(500, content.fields).end();
  else if (content.kind === "cut") cut(response, content);
  else if (request.headers["if-none-match"] === content.fields["etag"]) response.writeHead(304, content.fields).end();
  else send(request, response, content);
}

function cut(response: ServerResponse, { body, fields }: Content): void {
  response.writeHead(200, { ...fields, "content-length": body.byteLength });
  response.write(body.subarray(0, body.byteLength / 2), () => response.destroy());
}

function send(request: IncomingMessage, response: ServerResponse, { body, fields }: Content): void {
  const [, from = "", to = ""] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const isPart = from !== "" && Number(from) < body.byteLength;
  const part = isPart ? body.subarray(Number(from), Number(to) + 1) : body;
  const last = Number(from) + part.byteLength - 1;
  const where = isPart ? { "content-range": `bytes ${from}-${last}/${body.byteLength}` } : {};
  response.writeHead(isPart ? 206 : 200, { ...fields, ...where, "content-length": part.byteLength });
  response.end(request.method === "HEAD" ? undefined : part);
}
