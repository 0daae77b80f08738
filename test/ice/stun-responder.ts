/** A STUN server on loopback that tells everybody one address, or tells nobody anything (RFC 8489: the binding method alone). */
import { createSocket } from "node:dgram";
import { once } from "node:events";

const HEADER_BYTES = 20;
const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const XOR_MAPPED_ADDRESS = 0x0020;
const MAGIC_COOKIE = 0x2112_a442;
const IPV4 = 1;

export interface StunResponder extends AsyncDisposable {
  readonly url: string;
  /** How many binding requests have come. */
  requests(): number;
}

/** With `undefined` it says nothing. */
export async function startStunResponder(
  mapped: { readonly address: string; readonly port: number } | undefined,
): Promise<StunResponder> {
  const socket = createSocket("udp4");
  let requests = 0;
  socket.on("message", (message, { address, port }) => {
    const isRequest = message.length >= HEADER_BYTES && message.readUInt16BE(0) === BINDING_REQUEST;
    if (!isRequest || message.readUInt32BE(4) !== MAGIC_COOKIE) return;
    requests += 1;
    if (mapped !== undefined) socket.send(respond(message.subarray(8, HEADER_BYTES), mapped), port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    url: `stun:127.0.0.1:${socket.address().port}`,
    requests: () => requests,
    [Symbol.asyncDispose]: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function respond(transaction: Buffer, { address, port }: { readonly address: string; readonly port: number }): Buffer {
  const response = Buffer.alloc(HEADER_BYTES + 12);
  response.writeUInt16BE(BINDING_SUCCESS, 0);
  response.writeUInt16BE(12, 2);
  response.writeUInt32BE(MAGIC_COOKIE, 4);
  transaction.copy(response, 8);
  response.writeUInt16BE(XOR_MAPPED_ADDRESS, HEADER_BYTES);
  response.writeUInt16BE(8, HEADER_BYTES + 2);
  response.writeUInt8(IPV4, HEADER_BYTES + 5);
  response.writeUInt16BE(port ^ (MAGIC_COOKIE >>> 16), HEADER_BYTES + 6);
  const number = Buffer.from(address.split(".").map(Number)).readUInt32BE(0);
  response.writeUInt32BE((number ^ MAGIC_COOKIE) >>> 0, HEADER_BYTES + 8);
  return response;
}
