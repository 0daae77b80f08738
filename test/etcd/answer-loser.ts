/** A way to etcd that loses the answer of one transaction: it is carried there, and the connection ends when it is done. */
import { connect, createServer } from "node:net";
import { closeServer, listen } from "#platform/http/listening.ts";

/** In the key of what a transaction appends. */
const APPENDS = Buffer.from("rows/");

export interface AnswerLoser extends AsyncDisposable {
  readonly endpoint: string;
  /** How many answers were lost. */
  readonly lost: () => number;
}

/** Of the first that appends; `isDone` resolves once it is there. */
export async function startAnswerLoser(endpoint: string, isDone: () => Promise<void>): Promise<AnswerLoser> {
  const { hostname: host, port } = new URL(endpoint);
  let lost = 0;
  const server = createServer((socket) => {
    const member = connect({ host, port: Number(port) });
    const end = (): void => void [socket.destroy(), member.destroy()];
    let isLosing = false;
    for (const side of [socket, member]) side.on("error", end).on("close", end);
    member.on("data", (chunk) => {
      if (!isLosing) socket.write(chunk);
    });
    socket.on("data", (chunk) => {
      if (lost === 0 && chunk.includes(APPENDS)) {
        [lost, isLosing] = [1, true];
        isDone().then(end, end);
      }
      member.write(chunk);
    });
  });
  const bound = await listen(server, { host: "127.0.0.1", port: 0 });
  return {
    endpoint: `http://127.0.0.1:${bound.port}`,
    lost: () => lost,
    [Symbol.asyncDispose]: () => closeServer(server),
  };
}
