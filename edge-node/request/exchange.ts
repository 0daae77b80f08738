/** A request with the connection that its answer goes to. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { EdgeRequest } from "./edge-request.ts";

export interface Exchange {
  readonly request: EdgeRequest;
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
}
