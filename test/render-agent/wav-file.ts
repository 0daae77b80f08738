/** WAV files of PCM with 16 bits. Pure. */

/** Samples of channels in turn. */
export function wavOf(samples: readonly number[], channels = 1, rateHz = 48_000): Buffer {
  const bytes = Buffer.alloc(44 + samples.length * 2);
  bytes.write("RIFF", 0);
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write("WAVEfmt ", 8);
  bytes.writeUInt32LE(16, 16);
  for (const [at, value] of [1, channels].entries()) bytes.writeUInt16LE(value, 20 + at * 2);
  bytes.writeUInt32LE(rateHz, 24);
  bytes.writeUInt32LE(rateHz * channels * 2, 28);
  bytes.writeUInt16LE(channels * 2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write("data", 36);
  bytes.writeUInt32LE(samples.length * 2, 40);
  for (const [at, value] of samples.entries()) bytes.writeInt16LE(value, 44 + at * 2);
  return bytes;
}
