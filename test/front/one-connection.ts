/** Asks on one connection that goes on: the one that the fast lane answers on. */
import { Agent, type IncomingMessage, request } from "node:http";
import { buffer } from "node:stream/consumers";
import type { Test } from "tap";
import type { Address } from "#platform/address.ts";

export function askOnOneConnection(t: Test, address: Address) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  return async (path: string, headers: Readonly<Record<string, string>> = {}, method = "GET") => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    request({ ...address, path, method, headers, agent }, resolve)
      .once("error", reject)
      .end();
    const answer = await promise;
    return { status: answer.statusCode, headers: answer.headers, body: await buffer(answer) };
  };
}
