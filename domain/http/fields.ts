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
  return splitList(value, "quoted-strings").filter((member) => member !== "");
}

/** Entity tags have quotes and no escapes (section 8.8.3). */
export type Quoting = "quoted-strings" | "entity-tags";

/** As `listMembers`, with the empty ones. Reads each character once or twice, whatever the text. */
export function splitList(value: string, quoting: Quoting): readonly string[] {
  const members: string[] = [];
  let from = 0;
  let mayQuote = true;
  for (let at = 0; at < value.length; at += 1) {
    const character = value[at];
    if (character === ",") {
      members.push(value.slice(from, at).trim());
      from = at + 1;
    } else if (character === '"' && mayQuote) {
      const end = endOfQuoted(value, at, quoting);
      // One that does not end quotes nothing, nor does any after it.
      if (end < 0) mayQuote = false;
      else at = end;
    }
  }
  members.push(value.slice(from).trim());
  return members;
}

/** Where the closing quote stands; negative where there is none. */
function endOfQuoted(value: string, from: number, quoting: Quoting): number {
  for (let at = from + 1; at < value.length; at += 1) {
    if (value[at] === '"') return at;
    if (value[at] === "\\" && quoting === "quoted-strings") at += 1;
  }
  return -1;
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
