/**
 * What the VR page of a one-machine start may ask: that a node which serves be killed, as `kill -9` does, so that a
 * person sees what follows. It is started again. Nothing else can be asked with a page's token (decision 0077).
 */
import { timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { isOriginAllowed } from "#contracts/tokens/web-origins.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { problemOf } from "#platform/http/problem.ts";
import { PAGE_ORIGINS } from "./samples.ts";
import type { SupervisedProgram } from "./supervised.ts";

const KILL = /^\/page\/kill\/([^/]+)$/;

export interface PageControl {
  readonly token: string;
  readonly programs: readonly SupervisedProgram[];
  /** Names of those that serve clients: what others need is not a page's to end. */
  readonly killable: readonly string[];
}

/** False where it is not a page's request. */
export function answerPage(control: PageControl, request: IncomingMessage, response: ServerResponse): boolean {
  const { method, url = "", headers } = request;
  if (!url.startsWith("/page/")) return false;
  if (headers.origin !== undefined && isOriginAllowed(PAGE_ORIGINS, headers.origin)) {
    response.setHeader("access-control-allow-origin", headers.origin);
    response.setHeader("access-control-allow-headers", "authorization");
    response.setHeader("vary", "origin");
  }
  if (method === "OPTIONS") {
    response.writeHead(204).end();
    return true;
  }
  try {
    if (!isBearer(headers.authorization, control.token)) {
      throw new Failure("token-invalid", "the token that `perigee dev` printed with the page's address is asked for");
    }
    kill(control, method, url);
    response.writeHead(204, { "cache-control": "no-store" }).end();
  } catch (error) {
    if (!isFailure(error)) throw error;
    const problem = problemOf(error);
    response.writeHead(problem.status, { "content-type": "application/problem+json" }).end(JSON.stringify(problem));
  }
  return true;
}

function kill({ programs, killable }: PageControl, method: string | undefined, url: string): void {
  const [, wanted] = KILL.exec(url) ?? [];
  if (method !== "POST" || wanted === undefined) throw new Failure("not-found", `there is no ${method} ${url}`);
  const found = programs.find(({ name }) => name === wanted && killable.includes(name));
  if (found === undefined) throw new Failure("not-found", `a page may kill ${killable.join(", ")}, not ${wanted}`);
  found.crash();
}

export function isBearer(authorization: string | undefined, token: string): boolean {
  const [given, wanted] = [Buffer.from(authorization ?? ""), Buffer.from(`Bearer ${token}`)];
  return given.byteLength === wanted.byteLength && timingSafeEqual(given, wanted);
}
