/** HTTP fields (RFC 9110 section 5): names in lower case, values in the order of their lines. Pure. */

export type Fields = ReadonlyMap<string, readonly string[]>;

/** The combined value (section 5.3); `undefined` where the field is absent. Not for Set-Cookie. */
export function fieldValue(fields: Fields, name: string): string | undefined {
  return fields.get(name)?.join(", ");
}

/** From Node's flat list of raw names and values. */
export function fieldsOf(raw: readonly string[]): Fields {
  const fields = new Map<string, string[]>();
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] ?? "").toLowerCase();
    const values = fields.get(name);
    if (values === undefined) fields.set(name, [raw[index + 1] ?? ""]);
    else values.push(raw[index + 1] ?? "");
  }
  return fields;
}

/** Members of a comma-separated list (section 5.6.1): trimmed, empty ones left out, quoted strings kept whole. */
export function listMembers(value: string): readonly string[] {
  const members = value.match(/(?:"(?:[^"\\]|\\.)*"|[^,"]|")+/g) ?? [];
  return members.map((member) => member.trim()).filter((member) => member !== "");
}

/** Fields that concern one connection only (section 7.6.1), beside those that Connection names. */
const CONNECTION_FIELDS = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The fields that a gateway passes on. */
export function endToEndFields(fields: Fields): Fields {
  const named = new Set(listMembers(fieldValue(fields, "connection") ?? "").map((name) => name.toLowerCase()));
  return new Map([...fields].filter(([name]) => !CONNECTION_FIELDS.has(name) && !named.has(name)));
}
