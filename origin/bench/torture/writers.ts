/** Writers that apply numbered pairs of resources to an origin, one after another, and remember what was acknowledged. */
import Type from "typebox";
import { Value } from "typebox/value";
import { systemClock } from "#platform/clock.ts";

/** Longer than an origin waits for etcd. */
const ANSWER_MS_MAX = 8_000;
const PAUSE_MS = 20;

const resultSchema = Type.Object({
  results: Type.Array(Type.Object({ name: Type.String(), resourceVersion: Type.Integer() })),
});

/** One write: the same number in both halves of a pair. */
export interface Acknowledged {
  readonly number: number;
  /** Revisions of the two halves. */
  readonly revisions: readonly number[];
}

export class Writer {
  readonly name: string;
  readonly acknowledged: Acknowledged[] = [];
  /** No answer, or a refusal for etcd's sake: it may be there or not, but not twice. */
  unknown = 0;
  /** A number is used once, whatever became of it. */
  #number = 0;
  isWaiting = false;
  readonly #api: string;
  readonly #token: string;

  constructor(name: string, api: string, token: string) {
    this.name = name;
    this.#api = api;
    this.#token = token;
  }

  get halves(): readonly string[] {
    return [`${this.name}-a`, `${this.name}-b`];
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#number += 1;
      const revisions = await this.#write(this.#number);
      if (revisions !== undefined) this.acknowledged.push({ number: this.#number, revisions });
      else {
        this.unknown += 1;
        await systemClock.sleep(PAUSE_MS);
      }
    }
  }

  /** `undefined` where no acknowledgement came. */
  async #write(number: number): Promise<readonly number[] | undefined> {
    const documents = this.halves.map((name) => ({
      apiVersion: "perigee.dev/v1",
      kind: "ContentPolicy",
      metadata: { name },
      spec: { sites: [`n${number}`] },
    }));
    this.isWaiting = true;
    try {
      const response = await fetch(`${this.#api}/v1/apply`, {
        method: "POST",
        headers: { authorization: `Bearer ${this.#token}`, "content-type": "application/json" },
        body: JSON.stringify({ documents }),
        signal: systemClock.deadline(ANSWER_MS_MAX),
      });
      const answer: unknown = await response.json();
      return response.ok && Value.Check(resultSchema, answer)
        ? answer.results.map(({ resourceVersion }) => resourceVersion)
        : undefined;
    } catch {
      return undefined;
    } finally {
      this.isWaiting = false;
    }
  }
}
