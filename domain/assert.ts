/** Stops at a bug: a condition that no input, however bad, may make false. Pure. */
export class AssertionFailed extends Error {
  override readonly name = "AssertionFailed";
}

/** Throws `AssertionFailed`; never caught but by the process's last handler. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new AssertionFailed(invariant);
}
