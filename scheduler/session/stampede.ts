/** Places sessions that have to leave a pool that has broken together, so that none takes the only pool of another. */
import { type Fit, shareFits } from "#domain/placement/stampede.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import type { PlacingRequest, PlacingResult } from "./placing.ts";
import { Turns } from "./turns.ts";

/** What a client in a hurry can spare of the time that it gives a renewal. */
const WINDOW_MS = 100;
/** Some hundred decisions are made in as many milliseconds; more are another batch. */
const BATCH_MAX = 256;
/** So many that leave one pool within so long are no coincidence; those before were placed one by one. */
const LEAVING_MIN = 3;
const LEAVING_MS = 2_000;
/** The one left least recently is counted anew. */
const POOLS_COUNTED_MAX = 1_000;

export interface StampedePorts {
  readonly clock: Pick<Clock, "monotonicMs" | "timer">;
  /** Pools that would take it within its limit now, the best first. */
  readonly findFits: (request: PlacingRequest) => Promise<readonly Fit[]>;
  readonly place: (request: PlacingRequest) => Promise<PlacingResult>;
  /** So many were placed together, of whom so many were given a slot within their limits. */
  readonly onBatch: (sessions: number, given: number) => void;
}

/** One session that asks again and again is one. */
interface Leaving {
  readonly sessions: number;
  readonly last: string;
}

interface Waiting {
  readonly request: PlacingRequest;
  readonly answer: PromiseWithResolvers<PlacingResult>;
}

export class Stampede {
  readonly #ports: StampedePorts;
  readonly #turns = new Turns();
  readonly #leaving: BoundedMap<string, Leaving>;
  #waiting: Waiting[] = [];
  #window: Disposable | undefined;

  constructor(ports: StampedePorts) {
    this.#ports = ports;
    const lifetime = { ms: LEAVING_MS, clock: ports.clock };
    this.#leaving = new BoundedMap({ entriesMax: POOLS_COUNTED_MAX, lifetime });
  }

  /** A session that has to leave `pool` waits for others only while that counts as broken: when others leave it too. */
  place(pool: string, request: PlacingRequest): Promise<PlacingResult> {
    if (this.#countLeaving(pool, request.session) < LEAVING_MIN) return this.#ports.place(request);
    const answer = Promise.withResolvers<PlacingResult>();
    this.#waiting.push({ request, answer });
    if (this.#waiting.length >= BATCH_MAX) this.#close();
    else this.#window ??= this.#ports.clock.timer(WINDOW_MS, () => this.#close());
    return answer.promise;
  }

  #countLeaving(pool: string, session: string): number {
    const before = this.#leaving.get(pool);
    const sessions = (before?.sessions ?? 0) + (before?.last === session ? 0 : 1);
    this.#leaving.set(pool, { sessions, last: session });
    return sessions;
  }

  #close(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    this.#window?.[Symbol.dispose]();
    this.#window = undefined;
    // One batch after another: each goes by what the one before it took.
    void this.#turns.run(() => this.#placeTogether(batch));
  }

  /** Who was given a slot takes it before the rest look at what is left. Never rejects: each caller has its own answer. */
  async #placeTogether(batch: readonly Waiting[]): Promise<void> {
    // What fails here fails again, and is told, when the session is placed.
    const outcomes = await Promise.allSettled(batch.map(({ request }) => this.#ports.findFits(request)));
    const fits = outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : []));
    const given = shareFits(fits);
    this.#ports.onBatch(batch.length, given.filter((fit) => fit !== undefined).length);
    const place = ({ request, answer }: Waiting, asked = request): Promise<void> =>
      this.#ports.place(asked).then(answer.resolve, answer.reject);
    await Promise.all(
      batch.map((waiting, at) => {
        const fit = given[at];
        return fit === undefined ? undefined : place(waiting, reservedFor(waiting.request, fit, fits[at] ?? []));
      }),
    );
    for (const [at, waiting] of batch.entries()) if (given[at] === undefined) await place(waiting);
  }
}

/** What else would take the session is left to those that it was given to. */
function reservedFor(request: PlacingRequest, fit: Fit, fits: readonly Fit[]): PlacingRequest {
  const others = fits.filter(({ pool }) => pool !== fit.pool).map(({ pool }) => pool);
  return { ...request, leftToOthers: new Set(others) };
}
