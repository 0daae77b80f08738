/** The stream to the origin over gRPC with mutual TLS: a connection for each, with the address and certificate of its time. */
import { NodeSync } from "#contracts/generated/perigee/v1/node_pb.js";
import type { Address } from "#platform/address.ts";
import { type ClientTls, createGrpcClient } from "#platform/grpc/client.ts";
import type { ConnectOrigin } from "./origin-link.ts";

export function connectByGrpc({
  nextAddress,
  tls,
}: {
  /** Of the origin whose turn it is; its name is looked up anew for each connection. */
  readonly nextAddress: () => Address;
  readonly tls: () => ClientTls;
}): ConnectOrigin {
  return async function* (messages, signal) {
    using client = createGrpcClient(NodeSync, { address: nextAddress(), tls: tls(), pingsItself: true });
    yield* client.connect(messages, { signal });
  };
}
