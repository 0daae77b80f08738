/** What the origin server of the soak has: each path says what it is, so that an answer can be told right from wrong. Pure. */

export type Kind = "hot" | "churn" | "big" | "private" | "short" | "broken" | "cut";

export interface Content {
  readonly kind: Kind;
  readonly body: Buffer;
  readonly fields: Readonly<Record<string, string>>;
}

const BYTES: Readonly<Record<Kind, (number: number) => number>> = {
  hot: (number) => 500 + ((number * 977) % 20_000),
  // All alike, so that what is evicted is as large as what takes its place.
  churn: () => 8_000,
  big: (number) => 700_000 + number * 123_457,
  private: () => 2_000,
  short: () => 3_000,
  broken: () => 100,
  cut: () => 50_000,
};

const CACHE_CONTROL: Readonly<Record<Kind, string>> = {
  hot: "max-age=86400",
  churn: "max-age=86400",
  big: "max-age=86400",
  private: "no-store",
  short: "max-age=1, stale-while-revalidate=2",
  broken: "no-store",
  cut: "max-age=60",
};

export function isKind(word: string): word is Kind {
  return word in BYTES;
}

export function targetOf(kind: Kind, number: number): string {
  return `/${kind}/${number}`;
}

/** `undefined` for a target that is none. */
export function contentOf(target: string): Content | undefined {
  const [, kind = "", number = ""] = /^\/([a-z]+)\/(\d+)$/.exec(target) ?? [];
  if (!isKind(kind)) return undefined;
  const body = Buffer.alloc(BYTES[kind](Number(number)), `${target} `);
  return { kind, body, fields: { "cache-control": CACHE_CONTROL[kind], etag: `"${kind}-${number}"` } };
}
