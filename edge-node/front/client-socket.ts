/** What the lanes need of a connection to a client: a socket has it, and what stands for one of another process. */
import type { Duplex } from "node:stream";

export interface ClientSocket extends Duplex {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly remoteFamily?: string | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  setTimeout(ms: number, listener?: () => void): this;
  setNoDelay(isOn?: boolean): this;
  setKeepAlive(isOn?: boolean, initialDelayMs?: number): this;
  ref(): this;
  unref(): this;
  /** What is written goes out first. */
  destroySoon(): void;
}

/** As of a net.Socket: what is written goes out first. */
export function destroyAfterWrites(stream: Duplex): void {
  if (stream.writable) stream.end();
  if (stream.writableFinished) stream.destroy();
  else stream.once("finish", () => stream.destroy());
}
