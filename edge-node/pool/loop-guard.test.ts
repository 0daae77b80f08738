/** CDN-Loop at the stand-alone edge, over real sockets. */
import { createServer } from "node:http";
import t from "tap";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { startStandalone } from "../standalone-proxy.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };

t.test(
  "what goes on says that it was here, and is refused when it comes back, also where the answer is stored",
  async (t) => {
    const seen: (string | string[] | undefined)[] = [];
    const server = createServer((incoming, response) => {
      seen.push(incoming.headers["cdn-loop"]);
      response.writeHead(200, { "cache-control": "max-age=600" }).end("page");
    });
    const { port } = await listen(server, LOCAL);
    t.teardown(() => closeServer(server));
    const edge = await startStandalone({
      ...{ listen: LOCAL, upstream: new URL(`http://127.0.0.1:${port}`), memoryBytesMax: 1e6 },
      ...{ clock: systemClock, random: systemRandom },
      logger: createLogger({ program: "edge", level: "silent" }),
    });
    t.teardown(() => edge[Symbol.asyncDispose]());
    const ask = (path: string, loop?: string, method = "GET") =>
      fetch(`http://127.0.0.1:${edge.address.port}${path}`, {
        method,
        headers: loop === undefined ? {} : { "cdn-loop": loop },
      });
    t.equal((await ask("/page")).status, 200);
    const own = String(seen[0]);
    t.match(own, /^perigee-[0-9a-f-]{36}$/);
    t.equal((await ask("/other", "first.example;v=1")).status, 200);
    t.equal(seen[1], `first.example;v=1, ${own}`);
    for (const [path, method] of [
      ["/page", "GET"],
      ["/new", "GET"],
      ["/new", "POST"],
    ] as const) {
      const looping = await ask(path, `first.example, ${own}`, method);
      t.equal(looping.status, 508, `${method} ${path}`);
      t.equal(looping.headers.get("proxy-status"), "Perigee; error=proxy_loop_detected");
      t.match(await looping.json(), { code: "loop-detected", status: 508 });
    }
    t.equal(seen.length, 2, "nobody was asked");
  },
);
