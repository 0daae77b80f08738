/** Whether the header of a database's file has what those of all our databases have (sqlite.org/fileformat.html sections 1.3 and 1.5). */
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";

const HEADER_BYTES = 100;
/** What a freelist trunk page begins with: the next one's number, and how many leaves it lists. */
const TRUNK_BYTES = 8;
const TRUNK_FIELDS_BYTES = 4;
const AT = {
  pageSize: 16,
  changeCounter: 24,
  pages: 28,
  firstTrunk: 32,
  freePages: 36,
  /** Counts what changed the schema: 0 where there was never a table. */
  schemaCookie: 40,
  pagesValidFor: 92,
} as const;
/** Written as 1, since two bytes hold no such number. */
const LARGEST_PAGE_BYTES = 65_536;

interface Field {
  readonly name: string;
  readonly at: number;
  readonly bytes: 1 | 4;
  readonly expected: readonly number[];
}

/** What SQLite takes at its word: with other values it refuses to write, or takes pages for what they are not. */
const FIELDS: readonly Field[] = [
  { name: "write version", at: 18, bytes: 1, expected: [1, 2] },
  { name: "reserved bytes of a page", at: 20, bytes: 1, expected: [0] },
  { name: "largest root page", at: 52, bytes: 4, expected: [0] },
  { name: "incremental vacuum", at: 64, bytes: 4, expected: [0] },
];
/** Written with the first table, 0 before. */
const SCHEMA_FORMAT: Field = { name: "schema format", at: 44, bytes: 4, expected: [4] };

/**
 * What is wrong with it; `undefined` where nothing is, or no file or header is there yet. Only before a connection of
 * this process has read the file: closing it would take that one's locks away (sqlite.org/howtocorrupt.html section 2.2).
 */
export function headerFaultOf(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const file = openSync(path, "r");
  try {
    const header = readAt(file, 0, HEADER_BYTES);
    if (header === undefined) return undefined;
    return fieldFault(header) ?? sizeFault(header, fstatSync(file).size) ?? freelistFault(header, file);
  } finally {
    closeSync(file);
  }
}

function readAt(file: number, position: number, bytes: number): DataView | undefined {
  const read = new DataView(new ArrayBuffer(bytes));
  return readSync(file, read, 0, bytes, position) === bytes ? read : undefined;
}

function fieldFault(header: DataView): string | undefined {
  const hasTables = header.getUint32(AT.schemaCookie) !== 0;
  for (const { name, at, bytes, expected } of hasTables ? [...FIELDS, SCHEMA_FORMAT] : FIELDS) {
    const found = bytes === 1 ? header.getUint8(at) : header.getUint32(at);
    if (!expected.includes(found)) {
      return `its header has ${found} as ${name}, where ${expected.join(" or ")} was written`;
    }
  }
  return undefined;
}

function pageBytesOf(header: DataView): number {
  const written = header.getUint16(AT.pageSize);
  return written === 1 ? LARGEST_PAGE_BYTES : written;
}

/** More pages than there are SQLite finds itself; of fewer it would write the rest anew. */
function sizeFault(header: DataView, fileBytes: number): string | undefined {
  const isCounted = header.getUint32(AT.changeCounter) === header.getUint32(AT.pagesValidFor);
  const bytes = header.getUint32(AT.pages) * pageBytesOf(header);
  if (!isCounted || bytes === fileBytes) return undefined;
  return `its header has ${header.getUint32(AT.pages)} pages, and it is ${fileBytes} bytes long`;
}

function freelistFault(header: DataView, file: number): string | undefined {
  const freePages = header.getUint32(AT.freePages);
  const pageBytes = pageBytesOf(header);
  let trunk = header.getUint32(AT.firstTrunk);
  let found = 0;
  while (trunk !== 0 && found < freePages) {
    const content = readAt(file, (trunk - 1) * pageBytes, TRUNK_BYTES);
    if (content === undefined) break;
    found += 1 + content.getUint32(TRUNK_FIELDS_BYTES);
    trunk = content.getUint32(0);
  }
  if (trunk === 0 && found === freePages) return undefined;
  return `its header has ${freePages} free pages, and the list of them ${found}`;
}
