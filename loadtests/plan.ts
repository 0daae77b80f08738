/** What the runner and the k6 scripts agree on: where the system is, what it serves, and how long and hard to ask. Pure. */

export interface PublishedFile {
  readonly path: string;
  readonly bytes: number;
  /** SHA-256, lower-case hexadecimal. */
  readonly digest: string;
}

export interface LoadPlan {
  /** Scheme, host and port of the scheduler's client listener. */
  readonly scheduler: string;
  readonly published: {
    readonly site: string;
    readonly hostname: string;
    /** Asked again and again. */
    readonly hot: readonly PublishedFile[];
    /** Each is asked once by each run, so that an edge does not hold it yet. */
    readonly cold: readonly PublishedFile[];
  };
  /** A site whose answers come from an upstream that says what `pulledBody` says. */
  readonly pulled: { readonly site: string; readonly hostname: string };
  readonly session: { readonly app: string; readonly appToken: string; readonly webOrigin: string };
  /** Scheme, host and port where the runner takes the cloud away and gives it back. */
  readonly outageControl: string;
  readonly isSmoke: boolean;
  /** So that no two runs share a cold object of the pulled site. */
  readonly run: string;
}

/** Where the runner writes the plan; the scripts `open` it. */
export const PLAN_VARIABLE = "PERIGEE_LOAD_PLAN";

/** Sizes of what the pulled site serves. */
export const PULLED_SIZES_BYTES = [1_024, 16_384, 131_072] as const;

/** `/hot/3/16384`, `/cold/r1-17/1024`: the last segment is the size. */
export function pulledPath(kind: "hot" | "cold", name: string, bytes: number): string {
  return `/${kind}/${name}/${bytes}`;
}

/** The size that a path of the pulled site names; `undefined` where it names none that is served. */
export function pulledBytes(path: string): number | undefined {
  const bytes = Number(/^\/(?:hot|cold)\/[\w-]+\/(\d+)$/.exec(path)?.[1]);
  return PULLED_SIZES_BYTES.find((size) => size === bytes);
}

/** A body that says which path it belongs to, from its first byte to its last. */
export function pulledBody(path: string, bytes: number): string {
  const line = `${path}\n`;
  return line.repeat(Math.ceil(bytes / line.length)).slice(0, bytes);
}
