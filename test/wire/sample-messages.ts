/** A sample of every message of the contracts, each case of each oneof once, every field filled. Pure. */
import { create, type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { file_perigee_v1_common } from "#contracts/generated/perigee/v1/common_pb.js";
import { file_perigee_v1_enrolment } from "#contracts/generated/perigee/v1/enrolment_pb.js";
import { file_perigee_v1_node } from "#contracts/generated/perigee/v1/node_pb.js";
import { file_perigee_v1_scheduler } from "#contracts/generated/perigee/v1/scheduler_pb.js";
import { file_perigee_v1_site } from "#contracts/generated/perigee/v1/site_pb.js";

const FILES = [
  file_perigee_v1_common,
  file_perigee_v1_enrolment,
  file_perigee_v1_node,
  file_perigee_v1_scheduler,
  file_perigee_v1_site,
];

export const MESSAGES: readonly DescMessage[] = FILES.flatMap((file) => file.messages);

export interface Sample {
  /** `NodeMessage`, or `NodeMessage.hello` for a case of its oneof. */
  readonly name: string;
  readonly schema: DescMessage;
  readonly message: Message;
}

export function sampleMessages(): readonly Sample[] {
  return MESSAGES.flatMap((schema) => {
    const [oneof] = schema.oneofs;
    if (oneof === undefined) return [{ name: schema.name, schema, message: filled(schema) }];
    return oneof.fields.map((chosen) => ({
      name: `${schema.name}.${chosen.localName}`,
      schema,
      message: filled(schema, chosen),
    }));
  });
}

/** Of the fields of a oneof only `chosen` is set, or the first. */
function filled(schema: DescMessage, chosen?: DescField): Message {
  const target = reflect(schema, create(schema));
  for (const field of schema.fields) {
    const isLeftOut = field.oneof !== undefined && field !== (chosen ?? field.oneof.fields[0]);
    if (isLeftOut) continue;
    if (field.fieldKind === "list") {
      const list = target.get(field);
      for (const index of [0, 1]) list.add(elementOf(field, index));
    } else if (field.fieldKind !== "map") target.set(field, elementOf(field, 0));
  }
  return target.message;
}

/** Distinct by the field's number, so that fields that changed places are seen. */
function elementOf(field: DescField, index: number) {
  if (field.message !== undefined) return reflect(field.message, filled(field.message));
  if (field.enum !== undefined) return field.enum.values[1]?.number ?? 0;
  switch (field.scalar) {
    case ScalarType.BOOL:
      return true;
    case ScalarType.STRING:
      return `${field.localName}-${index}`;
    case ScalarType.BYTES:
      return new Uint8Array([field.number, index]);
    case ScalarType.UINT64:
      return BigInt(2 ** 40 + field.number + index);
    case ScalarType.DOUBLE:
      return field.number + index + 0.5;
    default:
      return 1000 + field.number + index;
  }
}
