/** The files of a decision log: a number that grows, and from when on each holds decisions. Pure. */

const NAME = /^(\d{10})-(\d{13})\.segment$/;

export interface SegmentName {
  readonly file: string;
  readonly number: number;
  /** Its decisions are not older. */
  readonly beganAtMs: number;
}

export function nameSegment(number: number, beganAtMs: number): SegmentName {
  const file = `${String(number).padStart(10, "0")}-${String(Math.max(0, Math.floor(beganAtMs))).padStart(13, "0")}.segment`;
  return { file, number, beganAtMs };
}

/** The oldest first; other files are passed over. */
export function listSegmentNames(files: readonly string[]): SegmentName[] {
  const names = files.flatMap((file) => {
    const [, number, beganAtMs] = NAME.exec(file) ?? [];
    return number === undefined ? [] : [{ file, number: Number(number), beganAtMs: Number(beganAtMs) }];
  });
  return names.sort((a, b) => a.number - b.number);
}
