/** Reads the entries of a tar archive (POSIX ustar and GNU base headers) held in memory. Pure. */
import { Failure } from "#domain/failure.ts";

const BLOCK_BYTES = 512;

export interface TarEntry {
  /** Relative, with `/`, without `.` or `..` parts. */
  readonly path: string;
  readonly kind: "file" | "directory";
  readonly executable: boolean;
  readonly content: Uint8Array;
}

/** Throws `archive-invalid` for a damaged header, a path that leaves the archive's root, a link or a device. */
export function parseTar(archive: Uint8Array): readonly TarEntry[] {
  const entries: TarEntry[] = [];
  let offset = 0;
  while (offset + BLOCK_BYTES <= archive.length) {
    const header = archive.subarray(offset, offset + BLOCK_BYTES);
    if (header.every((byte) => byte === 0)) return entries;
    const { entry, sizeBytes } = parseHeader(header, offset);
    const start = offset + BLOCK_BYTES;
    if (start + sizeBytes > archive.length) {
      throw invalid(`${entry.path}: ${sizeBytes} bytes announced, ${archive.length - start} left: truncated`);
    }
    entries.push({ ...entry, content: archive.subarray(start, start + sizeBytes) });
    offset = start + Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
  }
  throw invalid("no end-of-archive block: truncated");
}

function parseHeader(header: Uint8Array, offset: number): { entry: Omit<TarEntry, "content">; sizeBytes: number } {
  if (checksumOf(header) !== parseOctal(header, 148, 8)) throw invalid(`header at byte ${offset}: wrong checksum`);
  const prefix = text(header, 257, 6) === "ustar" && header[263] === 0x30 ? text(header, 345, 155) : "";
  const name = text(header, 0, 100);
  const path = normalisePath(prefix === "" ? name : `${prefix}/${name}`);
  const type = header[156];
  if (type !== 0 && type !== 0x30 && type !== 0x35) {
    throw invalid(`${path}: type "${String.fromCharCode(type ?? 0)}" refused; only files and directories are unpacked`);
  }
  const executable = (parseOctal(header, 100, 8) & 0o100) !== 0;
  const kind = type === 0x35 ? "directory" : "file";
  return { entry: { path, kind, executable }, sizeBytes: kind === "file" ? parseOctal(header, 124, 12) : 0 };
}

/** The header's bytes added up, its checksum field read as spaces. */
function checksumOf(header: Uint8Array): number {
  return header.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 0x20 : byte), 0);
}

function text(header: Uint8Array, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return String.fromCharCode(...(end === -1 ? field : field.subarray(0, end)));
}

function parseOctal(header: Uint8Array, start: number, length: number): number {
  const digits = text(header, start, length).trim();
  if (!/^[0-7]+$/.test(digits)) throw invalid(`a number field holds "${digits}", expected octal digits`);
  return Number.parseInt(digits, 8);
}

function normalisePath(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (path.startsWith("/") || path.includes("\\") || parts.includes("..") || parts.length === 0) {
    throw invalid(`path "${path}" refused: it must stay below the folder that is unpacked into`);
  }
  return parts.join("/");
}

function invalid(what: string): Failure {
  return new Failure("archive-invalid", `tar archive: ${what}`);
}
