/** An upstream that sees bytes: what it takes for a request it counts, wherever it stands. */
import { createServer, type Server } from "node:net";
import type { Test } from "tap";
import { closeServer, listen } from "#platform/http/listening.ts";

const REQUEST_LINE = /(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT) (\S+) HTTP\/\d/g;

export interface RawUpstream {
  readonly port: number;
  /** The targets of all that looks like a request line, in the order of their coming. */
  readonly targets: string[];
}

/** Answers each head with `fields` and `ok`. */
export async function startRawUpstream(t: Test, fields: (target: string) => string): Promise<RawUpstream> {
  const targets: string[] = [];
  const server: Server = createServer((socket) => {
    let seen = "";
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      seen += chunk.toString("latin1");
      for (let end = seen.indexOf("\r\n\r\n"); end >= 0; end = seen.indexOf("\r\n\r\n")) {
        const found = [...seen.slice(0, end).matchAll(REQUEST_LINE)].map(([, target = ""]) => target);
        seen = seen.slice(end + 4);
        targets.push(...found);
        for (const target of found) socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${fields(target)}\r\n\r\nok`);
      }
    });
  });
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(server));
  return { port, targets };
}
