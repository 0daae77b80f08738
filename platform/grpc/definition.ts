/** A protobuf-es service as grpc-js wants it: paths, kinds and (de)serializers. */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { MethodDefinition } from "@grpc/grpc-js";

/** One message; a snapshot's part and a blob's chunk stay far below. */
export const MESSAGE_BYTES_MAX = 8 * 1024 * 1024;

/** What one method takes and gives; the messages are checked by their serializers. */
export type AnyMethod = MethodDefinition<object, object>;

export type Input<M extends DescMethod> = MessageShape<M["input"]>;
export type InputInit<M extends DescMethod> = MessageInitShape<M["input"]>;
export type Output<M extends DescMethod> = MessageShape<M["output"]>;
export type OutputInit<M extends DescMethod> = MessageInitShape<M["output"]>;

export function methodDefinitionOf(service: DescService, method: DescMethod): AnyMethod {
  return {
    path: `/${service.typeName}/${method.name}`,
    requestStream: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
    responseStream: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
    requestSerialize: serializerOf(method.input),
    requestDeserialize: (bytes) => fromBinary(method.input, bytes),
    responseSerialize: serializerOf(method.output),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes),
  };
}

/** Of messages that go to many: their bytes once they have been encoded. */
const SHARED = new WeakMap<object, { bytes: Buffer | undefined }>();

/** The message that something which does not change is sent as, on however many streams: made once, encoded once. */
export class SharedMessages<S extends object, T extends object> {
  readonly #messages = new WeakMap<S, T>();
  readonly #make: (source: S) => T;

  constructor(make: (source: S) => T) {
    this.#make = make;
  }

  of(source: S): T {
    const known = this.#messages.get(source);
    if (known !== undefined) return known;
    const message = this.#make(source);
    this.#messages.set(source, message);
    SHARED.set(message, { bytes: undefined });
    return message;
  }
}

function serializerOf(schema: DescMessage): (message: object) => Buffer {
  const encode = (message: object) => Buffer.from(toBinary(schema, create(schema, { ...message })));
  return (message) => {
    const shared = SHARED.get(message);
    if (shared === undefined) return encode(message);
    shared.bytes ??= encode(message);
    return shared.bytes;
  };
}
