/** Bytes in pieces of some size: each is written, hashed and told on, which costs more than the bytes where they are small. */

/** Four records of TLS. */
export const GATHERED_BYTES = 64 * 1024;

/** What came before the source failed is given too. */
export async function* gathered(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let pieces: Uint8Array[] = [];
  let size = 0;
  const take = (): Uint8Array => {
    const whole = Buffer.concat(pieces);
    [pieces, size] = [[], 0];
    return whole;
  };
  let failure: { readonly error: unknown } | undefined;
  try {
    for await (const piece of bytes) {
      pieces.push(piece);
      size += piece.byteLength;
      if (size >= GATHERED_BYTES) yield take();
    }
  } catch (error) {
    failure = { error };
  }
  if (size > 0) yield take();
  if (failure !== undefined) throw failure.error;
}
