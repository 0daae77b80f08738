/** The part of a configuration that names the zones which a program serves. */
import Type from "typebox";

const closed = { additionalProperties: false };
const ZONES_MAX = 16;
const NAMESERVERS_MAX = 8;
const NAMESERVER_ADDRESSES_MAX = 4;
const name = (description: string) => Type.String({ minLength: 1, maxLength: 253, description });

export const zoneProperties = {
  zones: Type.Array(name("a domain that is delegated to the nameservers"), { minItems: 1, maxItems: ZONES_MAX }),
  nameservers: Type.Array(
    Type.Object(
      {
        name: name("as the delegation has it"),
        addresses: Type.Array(Type.String({ minLength: 2 }), {
          default: [],
          maxItems: NAMESERVER_ADDRESSES_MAX,
          description: "needed for a name that is in a zone of these",
        }),
      },
      closed,
    ),
    { minItems: 1, maxItems: NAMESERVERS_MAX, description: "the first one is the primary of the SOA record" },
  ),
  contact: Type.Optional(name("mailbox of who runs the zones, as a name; hostmaster.ZONE where it is left out")),
  ttlSecondsMin: Type.Integer({
    ...{ minimum: 1, maximum: 300, default: 5 },
    description: "of addresses that may change soon",
  }),
  ttlSecondsMax: Type.Integer({
    ...{ minimum: 1, maximum: 3600, default: 120 },
    description: "of addresses that have been the same for long",
  }),
};

export const zoneSettingsSchema = Type.Object(zoneProperties, closed);
