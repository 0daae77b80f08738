/** Domain names as they stand in a message (RFC 1035 sections 3.1 and 4.1.4). Pure. */

/** With the length octets and the root (RFC 1035 section 2.3.4). */
const NAME_OCTETS_MAX = 255;
const LABEL_OCTETS_MAX = 63;
const POINTER = 0xc0;
/** What a compression pointer can reach. */
const POINTER_OFFSET_MAX = 0x3fff;

export interface ReadName {
  /**
   * In lower case (RFC 4343), without the root's dot; an octet that no host name has is `\DDD`, as in a master file,
   * so that no two names read alike.
   */
  readonly name: string;
  /** Where each name that this one ends in begins. */
  readonly suffixes: ReadonlyMap<string, number>;
  readonly end: number;
}

/** Without compression, as the first name of a message is; `undefined` where the octets are no such name. */
export function readName(bytes: Buffer, start: number): ReadName | undefined {
  const labels: { readonly text: string; readonly at: number }[] = [];
  let at = start;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > LABEL_OCTETS_MAX) return undefined;
    const end = at + 1 + length;
    if (end > bytes.length || end - start > NAME_OCTETS_MAX) return undefined;
    if (length === 0) return { ...joined(labels), end };
    labels.push({ text: readLabel(bytes.subarray(at + 1, end)), at });
    at = end;
  }
}

/** Where the name ends that begins there, compressed or not; it is not followed. */
export function skipName(bytes: Buffer, start: number): number | undefined {
  let at = start;
  for (;;) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length >= POINTER) return at + 2 > bytes.length ? undefined : at + 2;
    if (length > LABEL_OCTETS_MAX || at - start >= NAME_OCTETS_MAX) return undefined;
    at += 1 + length;
    if (length === 0) return at;
  }
}

function joined(labels: readonly { readonly text: string; readonly at: number }[]) {
  const suffixes = new Map<string, number>();
  let name = "";
  for (const { text, at } of labels.toReversed()) {
    name = name === "" ? text : `${text}.${name}`;
    suffixes.set(name, at);
  }
  return { name, suffixes };
}

function readLabel(octets: Buffer): string {
  const text = octets.toString("latin1");
  if (/^[a-z0-9_-]+$/.test(text)) return text;
  return text
    .replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
    .replaceAll(/[^a-z0-9_-]/g, (octet) => `\\${String(octet.charCodeAt(0)).padStart(3, "0")}`);
}

/** Whether the name is the zone's own or below it; both in lower case. */
export function isWithin(name: string, zone: string): boolean {
  return name === zone || name.endsWith(`.${zone}`);
}

/** Parts of a message in order, and where names begin in it: a later name ends in a pointer to an earlier one. */
export class MessageParts {
  readonly #parts: Buffer[] = [];
  readonly #names: Map<string, number>;
  #length = 0;

  constructor(names: ReadonlyMap<string, number> = new Map()) {
    this.#names = new Map(names);
  }

  get length(): number {
    return this.#length;
  }

  add(...parts: readonly Buffer[]): void {
    for (const part of parts) {
      this.#parts.push(part);
      this.#length += part.length;
    }
  }

  /** A host name, or the root as "". */
  addName(name: string): void {
    for (let rest = name; rest !== ""; ) {
      const known = this.#names.get(rest);
      if (known !== undefined) {
        this.add(sixteen(POINTER * 256 + known));
        return;
      }
      if (this.#length <= POINTER_OFFSET_MAX) this.#names.set(rest, this.#length);
      const [label = ""] = rest.split(".", 1);
      this.add(labelOctets(label));
      rest = rest.slice(label.length + 1);
    }
    this.add(Buffer.of(0));
  }

  concat(): Buffer {
    return Buffer.concat(this.#parts, this.#length);
  }
}

/** Never compressed, as in SvcParams (RFC 9460 section 2.2). */
export function plainName(name: string): Buffer {
  const labels = name === "" ? [] : name.split(".");
  return Buffer.concat([...labels.map(labelOctets), Buffer.of(0)]);
}

function labelOctets(label: string): Buffer {
  return Buffer.concat([Buffer.of(label.length), Buffer.from(label, "latin1")]);
}

export function sixteen(value: number): Buffer {
  return Buffer.of(value >>> 8, value & 255);
}

export function thirtyTwo(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
