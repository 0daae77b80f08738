/** Where front processes bring the connections that they do not answer alone: a socket in a folder of this user only. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure } from "#domain/failure.ts";
import { closeServer } from "#platform/http/listening.ts";
import { CONNECTIONS_MAX, WRITE_BUFFERED_BYTES } from "../front/front.ts";
import { CarriedSocket } from "./carried-socket.ts";
import { FrameReader } from "./frames.ts";
import { type Opening, parseOpening } from "./opening.ts";

export interface Carriers extends AsyncDisposable {
  readonly path: string;
}

/** `accept` is given each connection with what its front process says of it. */
export async function openCarriers(accept: (socket: CarriedSocket, opening: Opening) => void): Promise<Carriers> {
  const folder = await mkdtemp(join(tmpdir(), "perigee-"));
  const path = join(folder, "main.sock");
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (carrier) => {
    open.add(carrier);
    carrier.once("close", () => open.delete(carrier));
    serve(carrier, accept);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(new Failure("unavailable", `cannot listen at ${path}`, { cause })));
    server.listen({ path, backlog: CONNECTIONS_MAX }, resolve);
  });
  return {
    path,
    async [Symbol.asyncDispose]() {
      const closed = closeServer(server);
      for (const carrier of open) carrier.destroy();
      await closed;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function serve(carrier: Socket, accept: (socket: CarriedSocket, opening: Opening) => void): void {
  let socket: CarriedSocket | undefined;
  const reader = new FrameReader("frames", (frame) => {
    if (frame.kind !== "opening") return socket?.receive(frame);
    const opening = parseOpening(frame.bytes);
    socket = new CarriedSocket(carrier, { ...opening, writeBufferedBytes: WRITE_BUFFERED_BYTES });
    accept(socket, opening);
  });
  carrier.on("error", () => carrier.destroy());
  // Without an end of the connection that it stands for, its front process is gone.
  carrier.on("end", () => carrier.destroySoon());
  carrier.on("data", (chunk) => reader.take(chunk));
}
