/** Randomness in the browser, as an argument; the one file of the client that draws it. */

export interface ClientRandom {
  bytes(count: number): Uint8Array<ArrayBuffer>;
  /** 0 up to 1, 1 excluded. */
  ratio(): number;
}

const STEPS = 2 ** 32;

export const browserRandom: ClientRandom = {
  bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  ratio: () => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / STEPS,
};
