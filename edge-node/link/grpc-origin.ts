/** The stream to the origin over gRPC with mutual TLS: a connection for each, with the certificate of its time. */
import { NodeSync } from "#contracts/generated/perigee/v1/node_pb.js";
import type { Address } from "#platform/address.ts";
import { type ClientTls, createGrpcClient } from "#platform/grpc/client.ts";
import type { ConnectOrigin } from "./origin-link.ts";

export function connectByGrpc({
  address,
  tls,
}: {
  readonly address: Address;
  readonly tls: () => ClientTls;
}): ConnectOrigin {
  return async function* (messages, signal) {
    using client = createGrpcClient(NodeSync, { address, tls: tls(), pingsItself: true });
    yield* client.connect(messages, { signal });
  };
}
