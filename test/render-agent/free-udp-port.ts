/** A UDP port of this machine that nobody has at the moment. */
import { bindUdpRange } from "#platform/links/udp-ports.ts";

export async function freeUdpPort(): Promise<number> {
  const [socket] = await bindUdpRange({ host: "127.0.0.1", port: 0 }, 1);
  const port = socket?.address().port ?? 0;
  await new Promise<void>((resolve) => socket?.close(() => resolve()));
  return port;
}
